#!/bin/sh
# Starts nginx, and reloads it with the new addresses whenever the replicas of `web` change.
#
# nginx resolves an upstream's addresses once, at its start. It could resolve them at each request,
# but then clients would not stay at one replica, which long polling needs.
set -eu

folder=/run/nginx
conf=$folder/replicas.conf

addresses() {
    busybox nslookup -type=a web 127.0.0.11 2>/dev/null |
        awk '/^Name:/ { in_answer = 1; next } in_answer && /^Address/ { print $NF }' | sort -u
}

write() {
    {
        printf 'map "" $public_url { default "%s"; }\n' "${PUBLIC_URL:-}"
        for upstream in replicas sticky_replicas; do
            echo "upstream $upstream {"
            echo "    zone $upstream 64k;"
            [ "$upstream" = replicas ] || echo '    hash $remote_addr consistent;'
            for address in $1; do
                echo "    server $address:5000 max_fails=1 fail_timeout=3s;"
            done
            # Without a replica, nginx must still start, and answer 503.
            [ -n "$1" ] || echo '    server 127.0.0.1:9;'
            # Shorter than the service's 60 s, so that the service never closes during a request.
            [ "$upstream" = sticky_replicas ] || echo '    keepalive 32; keepalive_timeout 30s;'
            echo '}'
        done
    } > "$conf.new"
    mv "$conf.new" "$conf"
}

watch() {
    while sleep 1; do
        current=$(addresses)
        # The answer is empty if the name server has a problem or the service restarts.
        [ -n "$current" ] && [ "$current" != "$replicas" ] || continue
        replicas=$current
        write "$replicas"
        echo "replicas:" $replicas
        nginx -s reload || :
    done
}

cp "/etc/nginx/${NGINX_PROFILE:?}.conf" "$folder/profile.conf"
replicas=$(addresses)
write "$replicas"
echo "replicas:" $replicas
watch &
exec nginx -g 'daemon off;'
