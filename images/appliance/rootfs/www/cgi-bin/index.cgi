#!/bin/sh
# The page. A visit is one byte more in a file: appending needs no lock, and nothing is ever lost.
if printf . | dd of=/data/visits oflag=append conv=notrunc,fsync 2>/dev/null; then
    visits=$(stat -c %s /data/visits)
fi
printf 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
read -r uptime _ </proc/uptime
sed -e "s/@HOST@/$(hostname)/g" -e "s/@VISITS@/${visits:-?}/g" -e "s/@UPTIME@/${uptime%.*}/g" \
    -e "s/@KERNEL@/$(uname -r)/g" /usr/share/page.html
