#!/bin/sh
# Runs once, when MySQL creates its data folder: creates the simulated bank's database and a user who
# cannot see the service's database.
set -eu
bank_password=$(cat /secrets/mysql/bank_password)
MYSQL_PWD=$(cat /secrets/mysql/root_password) mysql --user=root <<SQL
CREATE DATABASE IF NOT EXISTS bank CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'bank'@'%' IDENTIFIED BY '$bank_password';
GRANT ALL ON bank.* TO 'bank'@'%';
SQL
