#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Opens h2sniff on an nginx of its own, on loopback, that gets a request now
# and then. Everything it starts ends with it.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
chmod 755 "$dir"
port=${PORT:-18443}
nginx_pid= load_pid=
cleanup() {
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null || true
	[ -z "$nginx_pid" ] || kill "$nginx_pid" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT INT TERM

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
	-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
mkdir "$dir/www"
echo '<html><link rel="stylesheet" href="style.css"><img src="photo.jpg"></html>' >"$dir/www/index.html"
head -c 3000 /dev/zero | tr '\0' 'a' >"$dir/www/style.css"
head -c 150000 /dev/urandom >"$dir/www/photo.jpg"
cat >"$dir/nginx.conf" <<EOF
daemon off; error_log $dir/error.log; pid $dir/pid; worker_processes 2;
events {}
http {
	access_log off;
	client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
	server {
		listen 127.0.0.1:$port ssl http2;
		ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
		root $dir/www;
	}
}
EOF
/usr/sbin/nginx -c "$dir/nginx.conf" -p "$dir" &
nginx_pid=$!
(
	sleep 1
	while :; do
		nghttp -na "https://127.0.0.1:$port/" >/dev/null 2>&1 || true
		nghttp -n -H 'x-demo: yes' "https://127.0.0.1:$port/missing" >/dev/null 2>&1 || true
		sleep 1
	done
) &
load_pid=$!
sleep 0.5
run=./h2sniff
[ "$(id -u)" = 0 ] || run="sudo ./h2sniff"
$run -p "$nginx_pid" || true
