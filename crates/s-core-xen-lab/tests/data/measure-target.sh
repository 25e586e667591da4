out=$(mktemp -d /tmp/s-core-measure.XXXXXX) || exit 1
trap 'kill $receiver $server 2>/dev/null; rm -rf "$out"' EXIT
socat -b 131072 TCP-LISTEN:8004,bind=10.0.0.2,reuseaddr EXEC:"xl migrate-receive" >"$out/receiver" 2>&1 </dev/null & receiver=$!
iperf3 -s -1 -B 10.0.0.2 -p 8005 >"$out/server" 2>&1 </dev/null & server=$!
for port in 8004 8005; do
n=0
until ss -ltnH "sport = :$port" | grep -q .; do
n=$((n+1))
[ $n -lt 150 ] || { cat "$out"/* >&2; echo "nothing listens at port $port" >&2; exit 1; }
sleep 0.2
done
done
echo ready
cat >/dev/null
n=0
while kill -0 $receiver 2>/dev/null && [ $n -lt 25 ]; do n=$((n+1)); sleep 0.2; done
tail -n 3 "$out/receiver" | sed 's/^/receiver /'
