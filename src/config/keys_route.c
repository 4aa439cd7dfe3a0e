/* The keys of a route, but for auth, websocket and fallback (keys_policy.c). */
#include "config/keys.h"
#include "config/values.h"

static const struct key match_keys[] = {
	KEY_ROW(match_config, "value", value, struct pattern, type_value_pattern,
		.doc = "The whole value, or \"~ REGEX\"."),
	{ 0 },
};

static const struct key weighted_cluster_keys[] = {
	TEXT(weighted_cluster, name, type_name, .flags = KEY_REQUIRED, .doc = "A cluster."),
	UINT(weighted_cluster, weight, .def = "1", .max = "1000000",
	     .doc = "Its share is its weight by the sum of all; 0 is none."),
	{ 0 },
};

static const struct key rewrite_keys[] = {
	VALUE(rewrite_config, path, struct pattern, type_path_pattern, .flags = KEY_REQUIRED,
	      .doc = "What is replaced: \"/prefix\", \"= /exact\", or \"~ REGEX\" (a path that does not "
		     "match stays as it "
		     "is)."),
	TEXT(rewrite_config, to, type_replacement, .flags = KEY_REQUIRED,
	     .doc = "By what: after a regex, $1 to $9 are its groups. Arguments stay as they are."),
	{ 0 },
};

static const struct key header_value_keys[] = {
	KEY_ROW(header_value, "value", value, struct template, type_template,
		.doc = "A value; $remote_addr, $host, $request_id, $request_uri, $scheme and $claim.NAME are "
		       "filled in, $$ is "
		       "a dollar sign."),
	{ 0 },
};

static const struct key header_edits_keys[] = {
	MAP(header_edits, set, header_value, type_edited_header, header_value_keys, .item_word = "header",
	    .doc = "Header fields that get this value, whatever was there. Values may use variables."),
	MAP(header_edits, add, header_value, type_edited_header, header_value_keys, .item_word = "header",
	    .doc = "Header fields that are added to what is there."),
	LIST(header_edits, remove, char *, type_removed_header,
	     .doc = "Header fields that are taken away, first of all."),
	{ 0 },
};

static const struct key request_limits_keys[] = {
	RATE(request_limits, request_rate, .def = "0",
	     .doc = "Requests for each `key`; above it 429. 0 is no limit."),
	UINT(request_limits, request_burst, .def = "0",
	     .doc = "How many may come at once before `request_rate` counts; 0 is one second's worth."),
	RATE(request_limits, message_rate, .def = "0",
	     .doc = "Messages of all WebSockets of each `key` together, control frames counted in; above it `websocket.over_rate`. "
		    "0 is no limit."),
	UINT(request_limits, message_burst, .def = "0",
	     .doc = "How many may come at once before `message_rate` counts; 0 is one second's worth."),
	BYTE_RATE(request_limits, byte_rate, .def = "0",
		  .doc = "Bytes of frames of all WebSockets of each `key` together, a second's worth at once; 0 is no limit."),
	VALUE(request_limits, key, struct request_key, type_request_key, .def = "ip",
	      .doc = "What is counted by: ip, header:NAME, cookie:NAME, query:NAME or claim:NAME. A WebSocket keeps the key of its "
		     "handshake; who shows none is counted by address."),
	{ 0 },
};

static const struct key deny_rule_keys[] = {
	VALUE(deny_rule, path, struct pattern, type_path_pattern, .doc = "As a route's: a prefix, \"= /exact\" or \"~ REGEX\"."),
	VALUE(deny_rule, query, struct pattern, type_value_pattern,
	      .doc = "The whole query, or \"~ REGEX\" somewhere in it; as it came, and decoded."),
	MAP(deny_rule, headers, match_config, type_header_lower, match_keys, .item_word = "header",
	    .doc = "Header fields that must all be there with this value; \"~ REGEX\" is allowed."),
	{ 0 },
};

static const struct key access_keys[] = {
	LIST(access_config, allow, struct cidr, type_cidr, .doc = "Only these networks; empty is everybody."),
	LIST(access_config, deny, struct cidr, type_cidr, .doc = "Not these."),
	LIST(access_config, origins, char *, type_origin,
	     .doc = "Origins of pages that may open a WebSocket: https://example.com or https://*.example.com; any "
		    "other Origin is 403. A client without one is no page, and passes. Empty is every page on the web."),
	ITEMS(access_config, deny_if, deny_rule, deny_rule_keys, .item_word = "rule",
	      .doc = "Requests for which all that one of these rules names is so are 403. A pattern that takes too long is 500."),
	{ 0 },
};

static const struct key respond_keys[] = {
	UINT(respond_config, status, .def = "200", .min = "200", .max = "599", .flags = KEY_NOT_ZERO,
	     .doc = "The status of the answer."),
	MAP(respond_config, headers, header_value, type_edited_header, header_value_keys,
	    .item_word = "header", .doc = "Its header fields; values may use variables."),
	VALUE(respond_config, body, struct template, type_template, .doc = "Its body; may use variables."),
	{ 0 },
};

const struct key route_keys[] = {
	TEXT(route_config, name, type_name,
	     .doc = "What it is called in logs and metrics, and by which a reload knows it again. Absent: "
		    "route-1, route-2 and "
		    "so on, by its place."),
	LIST(route_config, host, struct pattern, type_host_pattern,
	     .doc = "Any of these: chat.example.com, \"*.example.com\" or \"~ REGEX\". Absent: any host."),
	VALUE(route_config, path, struct pattern, type_path_pattern, .def = "/",
	      .doc = "A prefix that ends at a slash (/ws matches /ws and /ws/a, and not /wsx), \"= /exact\" "
		     "or \"~ REGEX\"."),
	LIST(route_config, methods, char *, type_method, .doc = "Any of these. Absent: any method."),
	MAP(route_config, headers, match_config, type_header_lower, match_keys, .item_word = "header",
	    .doc = "Header fields that must all have this value; \"~ REGEX\" is allowed."),
	MAP(route_config, query, match_config, type_string, match_keys, .item_word = "argument",
	    .doc = "Arguments of the query that must all have this value; \"~ REGEX\" is allowed."),
	TEXT(route_config, cluster, type_name, .doc = "The cluster that serves it."),
	ITEMS(route_config, clusters, weighted_cluster, weighted_cluster_keys, .item_word = "cluster",
	      .doc = "Several clusters, each with its share, instead of `cluster`."),
	OPTIONAL(route_config, rewrite, rewrite_config, rewrite_keys, .doc = "Another path for the backend."),
	SECTION(route_config, request_headers, header_edits, header_edits_keys,
		.doc = "Changes to what the backend gets."),
	SECTION(route_config, response_headers, header_edits, header_edits_keys,
		.doc = "Changes to what the client gets."),
	SECTION(route_config, limits, request_limits, request_limits_keys,
		.doc = "How often it may be asked."),
	SECTION(route_config, access, access_config, access_keys, .doc = "Who may ask."),
	SECTION(route_config, auth, auth_config, auth_keys,
		.doc = "Who must prove who they are."),
	SECTION(route_config, websocket, websocket_policy, websocket_keys,
		.doc = "What holds for connections that became WebSockets."),
	OPTIONAL(route_config, fallback, fallback_config, fallback_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "For clients that cannot use WebSocket: the same session over HTTP, and the backend "
			"sees a WebSocket. "
			"Absent: off."),
	OPTIONAL(route_config, respond, respond_config, respond_keys,
		 .doc = "An answer from here, instead of a cluster."),
	{ 0 },
};
