#!/bin/sh
# Run once, while MySQL makes its data folder: the bank simulator's own database and user, who sees
# nothing of the service's.
set -eu
bank_password=$(cat /secrets/mysql/bank_password)
MYSQL_PWD=$(cat /secrets/mysql/root_password) mysql --user=root <<SQL
CREATE DATABASE IF NOT EXISTS bank CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'bank'@'%' IDENTIFIED BY '$bank_password';
GRANT ALL ON bank.* TO 'bank'@'%';
SQL
