#!/bin/sh
# Starts nginx, and tells it which replicas of `web` there are whenever that changes.
#
# nginx asks for an upstream's addresses once, at its start. Asking at each request is possible, but
# then no client can be kept at one replica, and long polling needs that.
set -eu

folder=/run/nginx
conf=$folder/replicas.conf

addresses() {
    busybox nslookup -type=a web 127.0.0.11 2>/dev/null |
        awk '/^Name:/ { named = 1; next } named && /^Address/ { print $NF }' | sort -u
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
            # Nobody is there: an answer all the same, and it is 503.
            [ -n "$1" ] || echo '    server 127.0.0.1:9;'
            # Shorter than the service's own 60 s, which would close under a request.
            [ "$upstream" = sticky_replicas ] || echo '    keepalive 32; keepalive_timeout 30s;'
            echo '}'
        done
    } > "$conf.new"
    mv "$conf.new" "$conf"
}

watch() {
    while sleep 1; do
        found=$(addresses)
        # An empty answer is a name server in trouble, or a service that starts again.
        [ -n "$found" ] && [ "$found" != "$known" ] || continue
        known=$found
        write "$known"
        echo "replicas:" $known
        nginx -s reload || :
    done
}

cp "/etc/nginx/${NGINX_PROFILE:?}.conf" "$folder/profile.conf"
known=$(addresses)
write "$known"
echo "replicas:" $known
watch &
exec nginx -g 'daemon off;'
