out=$(mktemp -d /tmp/s-core-measure.XXXXXX) || exit 1
trap 'kill $load 2>/dev/null; rm -rf "$out"' EXIT
export S_CORE_OUT="$out"
iperf3 -u -c 10.0.0.2 -B 10.0.0.1 -p 8005 -b 67961165 -l 1400 -i 0 -t 3600 -J >"$out/load" 2>&1 </dev/null & load=$!
sleep 3
kill -0 $load 2>/dev/null || { sed 's/^/load /' "$out/load"; exit 0; }
read -r began rest </proc/uptime
timeout -k 10 900 xl migrate -s '' v1 'socat -b 131072 - TCP:10.0.0.2:8004; code=$?; cat /proc/$$/io >"$S_CORE_OUT/io"; exit $code' >"$out/xl" 2>&1 </dev/null
code=$?
read -r ended rest </proc/uptime
kill $load 2>/dev/null
wait $load
load=
n=0
while [ ! -s "$out/io" ] && [ $n -lt 25 ]; do n=$((n+1)); sleep 0.2; done
echo "exit $code"
echo "began $began"
echo "ended $ended"
[ -s "$out/io" ] && sed -n 's/^wchar: /bytes /p' "$out/io"
tail -n 5 "$out/xl" | sed 's/^/xl /'
[ ! -e "$out/load" ] || sed 's/^/load /' "$out/load"
