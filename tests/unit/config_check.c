/* What a file is told whose parts are right and whose sense is not: listeners, routes, clusters; every
 * message whole, with its place. */
#include "config_broken.h"

/* clang-format off */
static const struct broken cases[] = {
	/* listeners */
	{ CLUSTERS_LINES,
	  "t:1:1: the file lacks \"listeners\": it must be given" },
	{ "listeners: []\n" CLUSTERS_LINES,
	  "t:1:12: there are no listeners: nothing would be served" },
	{ "listeners: {name: w}\n" CLUSTERS_LINES,
	  "t:1:12: \"listeners\" must be a list, not a mapping: begin each listener with \"- \"" },
	{ "listeners: [w]\n" CLUSTERS_LINES,
	  "t:1:13: each listener must be a mapping, not a single value" },
	{ "listeners: [{}]\n" CLUSTERS_LINES,
	  "t:1:13: listener lacks \"bind\": it must be given\nt:1:13: listener lacks \"name\": it "
		"must be given\nt:1:13: this listener has no routes: add `routes:`" },
	{ "listeners:\n- {name: w, bind: \"127.0.0.1:80\"}\n" CLUSTERS_LINES,
	  "t:2:3: listener \"w\" has no routes: add `routes:`" },
	{ "listeners:\n- {name: w, bind: [], routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:2:19: listener \"w\" has no address: add one to `bind:`" },
	{ "listeners:\n- {name: w, bind: \"80\", routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:2:19: bind: \"80\" is no address: write 0.0.0.0:443, \"[::]:443\" or "
		"unix:/run/holdfast.sock" },
	{ "listeners:\n- {name: w, bind: \"unix:\", routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:2:19: bind: \"unix:\" is no address: write 0.0.0.0:443, \"[::]:443\" or "
		"unix:/run/holdfast.sock (107 bytes of path at most)" },
	{ "listeners:\n- {name: a b, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:2:10: name: \"a b\" is no name: spaces, quotes, slashes, ? and # are not allowed" },
	{ "listeners:\n- {name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}\n- {name: w, "
		"bind: \"127.0.0.1:81\", routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:3:10: listener \"w\" is defined twice: it stands on line 2 already" },
	{ "listeners:\n- {name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}\n- {name: v, "
		"bind: [\"127.0.0.1:81\", \"127.0.0.1:80\"], routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:3:36: address \"127.0.0.1:80\" is bound twice: line 2 has it already" },
	{ "listeners:\n- {name: w, bind: [\"*:80\", \"[::]:80\"], routes: [{cluster: c}]}\n" CLUSTERS_LINES,
	  "t:2:28: address \"[::]:80\" is bound twice: line 2 has it already" },
	{ IN_LISTENER("protocol: https"),
	  "t:2:69: protocol: \"https\" is not allowed here (did you mean \"http\"?): write http or "
		"tcp" },
	{ IN_LISTENER("protocol: udp"),
	  "t:2:69: protocol: \"udp\" is not allowed here: write http or tcp" },
	{ IN_LISTENER("cluster: c"),
	  "t:2:59: \"cluster\" is for protocol tcp: with http, a route names its cluster" },
	{ IN_LISTENER("sni: {a.b: c}"),
	  "t:2:59: \"sni\" is for protocol tcp: with http, a route names its cluster" },
	{ IN_LISTENER("protocol: tcp, cluster: c"),
	  "t:2:35: \"routes\" is for protocol http: a tcp listener has \"cluster\"" },
	{ IN_TCP("http: {max_headers: 5}, cluster: c"),
	  "t:2:50: \"http\" is for protocol http: a tcp listener has \"cluster\"" },
	{ IN_TCP("timeouts: {idle: 1m}"),
	  "t:2:3: listener \"w\" leads nowhere: add `cluster:`" },
	{ IN_TCP("cluster: d"),
	  "t:2:59: cluster \"d\" is not defined: add it under `clusters:`" },
	{ IN_TCP("sni: {a.b: d}"),
	  "t:2:61: cluster \"d\" is not "
		"defined: add it under `clusters:`" },
	{ IN_TCP("sni: {\"a b\": c}"),
	  "t:2:56: sni: \"a b\" is no host: "
		"write chat.example.com, \"*.example.com\" or \"~ REGEX\"" },
	{ IN_TCP("sni: [c]"),
	  "t:2:55: \"sni\" must be a mapping, "
		"not a list: write { NAME: VALUE }" },
	{ IN_LISTENER("proxy_protocol: v2"),
	  "t:2:75: proxy_protocol: \"v2\" is not allowed here: write off or require" },
	{ IN_LISTENER("proxy_protocol_from: [10.0.0.0/8]"),
	  "t:2:80: warning: proxy_protocol_from has no effect while proxy_protocol is off" },
	{ IN_LISTENER("tls: {}"),
	  "t:2:64: no certificates: add at least one `{ cert: FILE, key: FILE }`" },
	{ IN_LISTENER("tls: {certificates: []}"),
	  "t:2:79: no certificates: add at least one `{ cert: FILE, key: FILE }`" },
	{ IN_LISTENER("tls: {certificates: [{cert: /dev/null}]}"),
	  "t:2:80: certificate lacks \"key\": it must be given" },
	{ IN_LISTENER("tls: {certificates: [{cert: /nonexistent/a.pem, key: /}]}"),
	  "t:2:87: cert: cannot read \"/nonexistent/a.pem\": No such file or directory\nt:2:112: "
		"key: cannot read \"/\": Is a directory" },
	{ IN_LISTENER("tls: {min_version: 1.1, certificates: [{cert: /dev/null, key: /dev/null}]}"),
	  "t:2:78: min_version: \"1.1\" is not allowed here (did you mean \"1.2\"?): write 1.2 or "
		"1.3" },
	{ IN_LISTENER("tls: {client_auth: {mode: require}, certificates: [{cert: /dev/null, key: /dev/null}]}"),
	  "t:2:78: clients' certificates cannot be checked without \"ca\": name a file with their "
		"roots" },
	{ IN_LISTENER("tls: {session_tickets: {rotate: 1s}, certificates: [{cert: /dev/null, key: /dev/null}]}"),
	  "t:2:91: rotate: 1s is too small: at least 1m" },
	{ IN_LISTENER("tls: {alpn: [\"\"], certificates: [{cert: /dev/null, key: /dev/null}]}"),
	  "t:2:72: alpn: an ALPN protocol has 1 to 255 bytes: write h2 or http/1.1" },
	{ IN_LISTENER("http: {max_headers: 0}"),
	  "t:2:79: max_headers: 0 is not allowed here: at least 1" },
	{ IN_LISTENER("http: {max_header_size: 10B}"),
	  "t:2:83: max_header_size: 10B is too small: at least 1KiB" },
	{ IN_LISTENER("timeouts: {header: 2h}"),
	  "t:2:78: header: 2h is too large: at most 1h" },
	/* routes */
	{ ROUTES("{}"),
	  "t:4:12: route \"route-1\" leads nowhere: add `cluster:`, `clusters:` or `respond:`" },
	{ ROUTES("a"),
	  "t:4:12: each route must be a mapping, not a single value" },
	{ ROUTES("{cluster: d}"),
	  "t:4:22: cluster \"d\" is not defined: add it under `clusters:`" },
	{ ROUTES("{cluster: C}"),
	  "t:4:22: cluster \"C\" is not defined: add it under `clusters:`" },
	{ ROUTES("{cluster: c, respond: {status: 200}}"),
	  "t:4:12: route \"route-1\" has more than one of \"cluster\", \"clusters\" and "
		"\"respond\": keep one" },
	{ ROUTES("{clusters: []}"),
	  "t:4:23: the weights add up to 0: nothing would be served" },
	{ ROUTES("{clusters: [c]}"),
	  "t:4:24: each cluster must be a mapping, not a single value" },
	{ ROUTES("{clusters: [{name: c, weight: 0}]}"),
	  "t:4:23: the weights add up to 0: nothing would be served" },
	{ ROUTES("{clusters: [{name: c}, {name: d}]}"),
	  "t:4:42: cluster \"d\" is not defined: add it under `clusters:`" },
	{ ROUTES("{clusters: [{weight: 1}]}"),
	  "t:4:24: cluster lacks \"name\": it must be given" },
	{ ROUTES("{name: a, path: /a, cluster: c}, {name: a, cluster: c}"),
	  "t:4:52: route \"a\" is defined twice: it stands on line 4 already" },
	{ ROUTES("{name: route-2, path: /a, cluster: c}, {cluster: c}"),
	  "t:4:51: route \"route-2\" is defined twice: it stands on line 4 already" },
	{ ROUTES("{cluster: c}, {path: /a, cluster: c}"),
	  "t:4:26: warning: route \"route-2\" is never reached: \"route-1\" before it matches "
		"everything" },
	{ IN_ROUTE("host: \"*\""),
	  "t:5:24: host: \"*\" is no host: write chat.example.com, \"*.example.com\" or \"~ "
		"REGEX\"; leave the key out for any host" },
	{ IN_ROUTE("host: \"a.*.b\""),
	  "t:5:24: host: \"a.*.b\" is no host: write chat.example.com, \"*.example.com\" or \"~ "
		"REGEX\"" },
	{ IN_ROUTE("host: \"a:80\""),
	  "t:5:24: host: \"a:80\": hosts are compared without their port, leave it out" },
	{ IN_ROUTE("host: \"~ (\""),
	  "t:5:24: host: regular expression \"(\": missing closing parenthesis, at byte 2" },
	{ IN_ROUTE("host: \"~\""),
	  "t:5:24: host: \"~\" stands alone: a regular expression must follow it" },
	{ IN_ROUTE("host: [a, {b: c}]"),
	  "t:5:28: \"host\" must be a single value, not a mapping" },
	{ IN_ROUTE("path: ws"),
	  "t:5:24: path: \"ws\" is no path: write /prefix, \"= /exact\" or \"~ REGEX\"" },
	{ IN_ROUTE("path: \"/a?b\""),
	  "t:5:24: path: \"/a?b\": a path holds no spaces, ? or #; arguments go under `query:`" },
	{ IN_ROUTE("path: \"~ [a\""),
	  "t:5:24: path: regular expression \"[a\": missing terminating ] for character class, at "
		"byte 3" },
	{ IN_ROUTE("path: [/a]"),
	  "t:5:24: \"path\" must be a single value, not a list" },
	{ IN_ROUTE("methods: [get]"),
	  "t:5:28: methods: methods are written in capitals: \"get\" is \"GET\"" },
	{ IN_ROUTE("methods: [\"G T\"]"),
	  "t:5:28: methods: \"G T\" is no HTTP method: write GET, POST ..." },
	{ IN_ROUTE("methods: CONNECT"),
	  "t:5:27: methods: CONNECT is always refused: leave it out" },
	{ IN_ROUTE("headers: {\"a b\": c}"),
	  "t:5:28: headers: \"a b\" is no header name: letters, digits and - only" },
	{ IN_ROUTE("headers: [a]"),
	  "t:5:27: \"headers\" must be a mapping, not a list: write { NAME: VALUE }" },
	{ IN_ROUTE("headers: {a: \"~ *\"}"),
	  "t:5:31: a: regular expression \"*\": quantifier does not follow a repeatable item, at "
		"byte 1" },
	{ IN_ROUTE("query: {\"\": c}"),
	  "t:5:26: query: an empty text means nothing here: leave the key out" },
	{ IN_ROUTE("rewrite: {path: /a}"),
	  "t:5:27: rewrite lacks \"to\": it must be given" },
	{ IN_ROUTE("rewrite: {path: /a, to: \"$1\"}"),
	  "t:5:42: groups such as $1 come from a regular expression: write `path: \"~ REGEX\"`" },
	{ IN_ROUTE("rewrite: {path: /a, to: b}"),
	  "t:5:42: to: \"b\" makes no path: it begins with / (or with $1) and holds no spaces" },
	{ IN_ROUTE("request_headers: {set: {a: $foo}}"),
	  "t:5:45: a: \"$foo\": there is no such variable: $remote_addr, $host, $request_id, "
		"$request_uri, $scheme, $claim.NAME; $$ is a dollar sign" },
	{ IN_ROUTE("request_headers: {set: {a: $claim.}}"),
	  "t:5:45: a: \"$claim.\": there is no such variable: $remote_addr, $host, $request_id, "
		"$request_uri, $scheme, $claim.NAME; $$ is a dollar sign" },
	{ IN_ROUTE("request_headers: {set: {a: \"b\\r\\nc: d\"}}"),
	  "t:5:45: a: control characters (such as a line break) are not allowed here" },
	{ IN_ROUTE("request_headers: {add: {Connection: close}}"),
	  "t:5:42: add: \"Connection\" is set by the proxy itself and cannot be changed: leave it "
		"out" },
	{ IN_ROUTE("request_headers: {remove: [Upgrade]}"),
	  "t:5:45: remove: \"Upgrade\" is set by the proxy itself and cannot be changed: leave it "
		"out" },
	{ IN_ROUTE("response_headers: {set: {Content-Length: \"1\"}}"),
	  "t:5:43: set: \"Content-Length\" is set by the proxy itself and cannot be changed: leave "
		"it out" },
	{ ROUTES("{respond: {status: 101}}"),
	  "t:4:31: status: 101 is too small: at least 200" },
	{ ROUTES("{respond: {status: moved}}"),
	  "t:4:31: status: \"moved\" is not a whole number: write digits only" },
	{ ROUTES("{respond: {headers: {a: $x}}}"),
	  "t:4:36: a: \"$x\": there is no such variable: $remote_addr, $host, $request_id, "
		"$request_uri, $scheme, $claim.NAME; $$ is a dollar sign" },
	{ IN_ROUTE("websocket: {max_message_size: 1M}"),
	  "t:5:48: max_message_size: \"1M\" has an unknown unit; this is a size: write 512B, "
		"64KiB, 1MiB or 1GiB" },
	{ IN_ROUTE("websocket: {compression: deflate}"),
	  "t:5:43: compression: \"deflate\" is not allowed here: write pass, strip or terminate" },
	{ IN_ROUTE("websocket: off"),
	  "t:5:29: \"websocket\" must be a mapping, not a single value: its keys stand below it, "
		"indented" },
	{ IN_ROUTE("auth: {jwt: {}}"),
	  "t:5:30: jwt takes one of \"keys\" "
		"(a JWKS file) and \"secret_file\"" },
	{ IN_ROUTE("auth: {jwt: {keys: /nonexistent}}"),
	  "t:5:37: keys: cannot read "
		"\"/nonexistent\": No such file or directory" },
	{ IN_ROUTE("auth: {jwt: {keys: /dev/null, algorithms: [none]}}"),
	  "t:5:61: algorithms: \"none\" is no "
		"algorithm for tokens: write HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, "
		"PS512, ES256, ES384, ES512 or EdDSA" },
	{ IN_ROUTE("auth: {jwt: {keys: /dev/null, from: [cookie]}}"),
	  "t:5:55: from: \"cookie\" lacks its "
		"name: write cookie:NAME" },
	{ IN_ROUTE("auth: {forward: {url: auth.internal}}"),
	  "t:5:25: warning: key \"forward\" is not yet in effect\nt:5:40: url: \"auth.internal\" is "
		"no URL: write http://HOST/PATH or https://HOST/PATH" },
	{ IN_ROUTE("access: {origins: [example.com]}"),
	  "t:5:37: origins: \"example.com\" "
		"is no origin: write https://HOST or https://*.HOST, without a path" },
	{ IN_ROUTE("access: {deny_if: [{}]}"),
	  "t:5:37: this rule would refuse everything: name a path, a query or headers" },
	{ IN_ROUTE("limits: {key: host}"),
	  "t:5:32: key: \"host\" is not "
		"known: write ip, uri, header:NAME, cookie:NAME, query:NAME or claim:NAME" },
	{ IN_ROUTE("fallback: {carriers: [sse]}"),
	  "t:5:40: carriers: \"sse\" is no "
		"carrier: write websocket, stream, poll or eventsource" },
	{ IN_ROUTE("fallback: {sockjs: maybe}"),
	  "t:5:37: \"sockjs\" must be a "
		"mapping, not a single value: its keys stand below it, indented" },
	/* clusters */
	{ CLUSTERS("{name: c}"),
	  "t:1:12: cluster \"c\" has no endpoints: add `endpoints:` or `discover:`" },
	{ CLUSTERS("{name: c, endpoints: []}"),
	  "t:1:12: cluster \"c\" has no endpoints: add `endpoints:` or `discover:`" },
	{ CLUSTERS("{name: c, endpoints: }"),
	  "t:1:12: cluster \"c\" has no endpoints: add `endpoints:` or `discover:`" },
	{ CLUSTERS("{endpoints: [\"a:1\"]}"),
	  "t:1:12: cluster lacks \"name\": it must be given\nt:3:54: cluster \"c\" is not defined: "
		"add it under `clusters:`" },
	{ CLUSTERS("{name: c, endpoints: [\"a:1\"]}, {name: c, endpoints: [\"a:1\"]}"),
	  "t:1:50: cluster \"c\" is defined twice: it stands on line 1 already" },
	{ "clusters:\n  c: {endpoints: [\"a:1\"]}\n" LISTENERS_LINES,
	  "t:2:3: \"clusters\" must be a list, not a mapping: begin each cluster with \"- "
		"\"\nt:4:54: cluster \"c\" is not defined: add it under `clusters:`" },
	{ CLUSTERS("{name: c, endpoints: [\"a:1\", \"a:1\"]}"),
	  "t:1:41: endpoint \"a:1\" is defined twice: it stands on line 1 already" },
	{ CLUSTERS("{name: c, endpoints: [\"a:1\", {address: \"a:1\", weight: 2}]}"),
	  "t:1:51: endpoint \"a:1\" is defined twice: it stands on line 1 already" },
	{ CLUSTERS("{name: c, endpoints: [\"a\"]}"),
	  "t:1:34: endpoint: \"a\" is no endpoint: write HOST:PORT, such as 10.0.0.1:8080, "
		"\"[::1]:8080\" or chat.internal:8080, or unix:/run/chat.sock" },
	{ CLUSTERS("{name: c, endpoints: [\"a:0\"]}"),
	  "t:1:34: endpoint: \"a:0\" is no endpoint: write HOST:PORT, such as 10.0.0.1:8080, "
		"\"[::1]:8080\" or chat.internal:8080, or unix:/run/chat.sock" },
	{ CLUSTERS("{name: c, endpoints: [\"a:99999\"]}"),
	  "t:1:34: endpoint: \"a:99999\" is no endpoint: write HOST:PORT, such as 10.0.0.1:8080, "
		"\"[::1]:8080\" or chat.internal:8080, or unix:/run/chat.sock" },
	{ CLUSTERS("{name: c, endpoints: [\"1.2.3.400:1\"]}"),
	  "t:1:34: endpoint: \"1.2.3.400:1\" is no endpoint: write HOST:PORT, such as "
		"10.0.0.1:8080, \"[::1]:8080\" or chat.internal:8080, or unix:/run/chat.sock" },
	{ CLUSTERS("{name: c, endpoints: [\"http://a:1\"]}"),
	  "t:1:34: endpoint: \"http://a:1\" is no endpoint: write HOST:PORT, such as "
		"10.0.0.1:8080, \"[::1]:8080\" or chat.internal:8080, or unix:/run/chat.sock" },
	{ CLUSTERS("{name: c, endpoints: [{weight: 1}]}"),
	  "t:1:34: endpoint lacks \"address\": it must be given" },
	{ CLUSTERS("{name: c, endpoints: [{address: \"a:1\", weight: heavy}]}"),
	  "t:1:59: weight: \"heavy\" is not a whole number: write digits only" },
	{ CLUSTERS("{name: c, endpoints: [{address: \"a:1\", weight: 0}]}"),
	  "t:1:33: warning: every endpoint of cluster \"c\" has weight 0: it gets no connections" },
	{ CLUSTERS("{name: c, endpoints: [[\"a:1\"]]}"),
	  "t:1:34: each endpoint must be a mapping, not a list" },
	{ CLUSTERS("{name: c, endpoints: \"a:1\"}"),
	  "t:1:33: \"endpoints\" must be a list, not a single value: begin each endpoint with \"- "
		"\"" },
	{ IN_CLUSTER("balance: leastconn"),
	  "t:2:50: balance: \"leastconn\" is no algorithm (did you mean \"least_connections\"?): "
		"write round_robin, least_connections, random_two, ip_hash or consistent_hash" },
	{ IN_CLUSTER("balance: least_con"),
	  "t:2:50: balance: \"least_con\" is no algorithm (did you mean \"least_connections\"?): "
		"write round_robin, least_connections, random_two, ip_hash or consistent_hash" },
	{ IN_CLUSTER("balance: magic"),
	  "t:2:50: balance: \"magic\" is no algorithm: write round_robin, least_connections, "
		"random_two, ip_hash or consistent_hash" },
	{ IN_CLUSTER("balance: consistent_hash"),
	  "t:2:50: consistent_hash needs \"hash_on\": ip, uri, header:NAME, cookie:NAME, "
		"query:NAME or claim:NAME\nt:2:50: warning: balance \"consistent_hash\" is not yet in "
		"effect" },
	{ IN_CLUSTER("hash_on: cookie"),
	  "t:2:50: hash_on: \"cookie\" "
		"lacks its name: write cookie:NAME" },
	{ IN_CLUSTER("hash_bound: 0.5"),
	  "t:2:53: hash_bound: 0.5 is "
		"too small: at least 1" },
	{ IN_CLUSTER("hash_bound: big"),
	  "t:2:53: hash_bound: \"big\" "
		"is not a decimal number: write 1.25" },
	{ IN_CLUSTER("protocol: http2"),
	  "t:2:51: protocol: \"http2\" is not allowed here (did you mean \"h2\"?): write http1 or "
		"h2" },
	{ IN_CLUSTER("proxy_protocol: on"),
	  "t:2:57: proxy_protocol: \"on\" is not allowed here: write off, v1 or v2" },
	{ IN_CLUSTER("retries: {on: [timeout]}"),
	  "t:2:56: on: \"timeout\" is not allowed here: write connect, reset_before_response, 500, "
		"502, 503 or 504" },
	{ IN_CLUSTER("retries: {attempts: 50}"),
	  "t:2:61: attempts: 50 is too large: at most 10" },
	{ IN_CLUSTER("tls: {verify: maybe}"),
	  "t:2:55: verify: \"maybe\" is not a switch: write true or false" },
	{ IN_CLUSTER("tls: {ca: /nonexistent}"),
	  "t:2:51: ca: cannot read \"/nonexistent\": No such file or directory" },
	{ IN_CLUSTER("tls: {client_cert: /dev/null}"),
	  "t:2:46: a certificate and its key belong together: give both \"client_cert\" and "
		"\"client_key\"" },
	{ CLUSTERS("{name: c, tls: {}, endpoints: [\"unix:/run/c.sock\"]}"),
	  "t:1:43: a UNIX socket has no name that its certificate could be checked for: set "
		"`tls.sni`" },
	{ IN_CLUSTER("affinity: {cookie: {name: \"a b\"}}"),
	  "t:2:67: name: \"a b\" holds "
		"what a protocol or cookie name may not: use letters, digits, - . _" },
	{ IN_CLUSTER("affinity: {cookie: {same_site: none, secure: false}}"),
	  "t:2:72: browsers drop cookies "
		"with same_site: none that are not secure: set `secure: true`" },
	{ IN_CLUSTER("affinity: {learn: {from: body}}"),
	  "t:2:59: learn lacks \"key\": it "
		"must be given\nt:2:59: learn lacks \"match\": it must be given" },
	{ IN_CLUSTER("health: {interval: 0}"),
	  "t:2:60: interval: 0 is not "
		"allowed here: at least 100ms" },
	{ IN_CLUSTER("health: {expect_status: [99]}"),
	  "t:2:66: expect_status: 99 is too "
		"small: at least 100" },
	{ IN_CLUSTER("health: {type: ws}"),
	  "t:2:56: type: \"ws\" is not "
		"allowed here (did you mean \"websocket\"?): write tcp, http or websocket" },
	{ IN_CLUSTER("drain: {close_code: 999}"),
	  "t:2:61: close_code: 999 is too "
		"small: at least 1000" },
	{ IN_CLUSTER("discover: {}"),
	  "t:2:51: discover takes one of "
		"\"dns\" and \"endpoints_file\"" },
	{ IN_CLUSTER("discover: {dns: a}"),
	  "t:2:51: addresses from DNS have "
		"no port: add `port:`, or use `type: srv`" },
	{ IN_CLUSTER("source_addresses: [\"10.0.0.1:80\"]"),
	  "t:2:60: "
		"source_addresses: \"10.0.0.1:80\" is no IP address: write 10.0.0.1 or \"2001:db8::1\", "
		"without a port" },
};
/* clang-format on */

static void every_fault_is_named_with_its_place(void **state)
{
	(void)state;
	broken_files_check(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_is_named_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
