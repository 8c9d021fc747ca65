# The images that docker-compose.yml builds: nginx and MySQL with their configuration, and one image
# for the service, the simulated bank and the one-shots. Build tools do not get into the images.

FROM nginx:1.27-alpine AS nginx

COPY --chmod=0755 docker/nginx/start.sh /balcao-start.sh
COPY --chmod=0644 docker/nginx/nginx.conf /etc/nginx/nginx.conf
COPY --chmod=0644 docker/nginx/development.conf docker/nginx/production.conf \
    docker/nginx/mutual-tls.conf /etc/nginx/
USER 101:101
ENTRYPOINT ["/balcao-start.sh"]
CMD []

# --------------------------------------------------------------------------------------------------

FROM mysql:8.4 AS mysql

COPY --chmod=0755 docker/mysql/10-bank.sh /docker-entrypoint-initdb.d/10-bank.sh
USER 999:999

# --------------------------------------------------------------------------------------------------

FROM python:3.13-slim AS packages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.txt constraints.txt ./
# requirements.txt has pytest for `make test`; the image runs no tests.
RUN python3 -m venv /opt/balcao \
    && grep -vE '^pytest==' requirements.txt > serving.txt \
    && /opt/balcao/bin/python -m pip install --quiet -r serving.txt -c constraints.txt \
    && /opt/balcao/bin/python -m pip uninstall --quiet --yes pip \
    && find /opt/balcao -type d \( -name tests -o -name test \) -prune -exec rm -rf {} + \
    && find /opt/balcao -path '*/babel/locale-data/*' ! -name 'pt*' ! -name 'en*' ! -name root.dat \
        -type f -delete

WORKDIR /app
COPY . .
# Compile here, because containers are read-only; make files readable in spite of the umask.
RUN rm -rf docker/nginx docker/mysql \
    && /opt/balcao/bin/python -m compileall -q /app /opt/balcao/lib \
    && chmod -R a+rX /app
# The commit, which /healthz shows. It comes last, because it changes with each build.
ARG REVISION=""
RUN test -z "$REVISION" || printf '%s\n' "$REVISION" > /app/REVISION

# --------------------------------------------------------------------------------------------------

FROM python:3.13-slim AS balcao

# In their images, MySQL has group 999, Redis 1000 and nginx 101. An empty volume gets the owner and
# mode of the folder at its mount point.
RUN groupadd --gid 10001 balcao \
    && useradd --uid 10001 --gid balcao --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin balcao \
    && install -d -m 0700 -o 10001 -g 10001 /secrets/service /secrets/bank \
    && install -d -m 0750 -o 10001 -g 999 /secrets/mysql \
    && install -d -m 0750 -o 10001 -g 1000 /secrets/redis \
    && install -d -m 0750 -o 10001 -g 101 /certificates

COPY --from=packages /opt/balcao /opt/balcao
COPY --from=packages /app /app
WORKDIR /app
ENV PATH=/opt/balcao/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Return the 19 MiB of each Argon2 hash to the system; malloc would keep them for each thread.
ENV MALLOC_MMAP_THRESHOLD_=1048576
USER 10001:10001
EXPOSE 5000
CMD ["gunicorn", "-c", "gunicorn.conf.py"]
