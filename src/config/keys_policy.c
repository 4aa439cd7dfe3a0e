/* The keys of a route's policies: auth, websocket, fallback. */
#include "config/keys.h"
#include "config/values.h"

/* --- auth --- */

static const struct key_word on_expiry_words[] = {
	{ "close", JWT_EXPIRY_CLOSE, false },
	{ "ignore", JWT_EXPIRY_IGNORE, false },
	{ 0 },
};

static const struct key claim_keys[] = {
	LIST(jwt_claim, values, char *, type_string, .doc = "Any of these values."),
	{ 0 },
};

static const struct key claim_header_keys[] = {
	KEY_ROW(string_pair, "value", value, char *, type_string, .doc = "The claim."),
	{ 0 },
};

static const struct key jwt_keys[] = {
	LIST(jwt_config, from, struct token_source, type_token_source, .def = "header",
	     .doc = "Where the token is looked for, in this order: header (Authorization: Bearer), "
		    "cookie:NAME, query:NAME, "
		    "subprotocol (an entry of Sec-WebSocket-Protocol that is a token, alone or behind `bearer`: taken "
		    "out of what the backend is offered)."),
	READABLE(jwt_config, keys,
		 .doc = "A JWKS file with the public keys (RSA, EC, Ed25519, Ed448, oct), chosen by kid; read again on "
			"reload, and when it changes."),
	READABLE(jwt_config, secret_file,
		 .doc = "A file with the shared secret of HS256 and its like (16 bytes at least), instead of `keys`."),
	READABLE(jwt_config, revoked_file,
		 .doc = "A file with the tokens that are good no more, one a line: `jti NAME` or `sub NAME`. Read again "
			"when it changes: live connections of those tokens are closed with 1008. holdfastctl revoke does "
			"the same without a file."),
	LIST(jwt_config, algorithms, char *, type_jwt_algorithm, .def = "RS256, ES256",
	     .doc = "What may have signed it; never the token's own choice."),
	STRING(jwt_config, issuer, .doc = "What its iss must be. Absent: not looked at."),
	LIST(jwt_config, audience, char *, type_string,
	     .doc = "One of these must be in its aud. Absent: not looked at."),
	DURATION(jwt_config, leeway, .def = "30s", .max = "1h", .doc = "How far clocks may differ."),
	ENUM(jwt_config, on_expiry, jwt_on_expiry, on_expiry_words, .def = "close",
	     .doc = "What becomes of a live connection whose token runs out: closed with 4401, or nothing."),
	DURATION(jwt_config, expiry_grace, .def = "10s", .max = "1d",
		 .doc = "How long after that (and after the leeway), so that a new token can come in time."),
	MAP(jwt_config, claims, jwt_claim, type_string, claim_keys, .item_word = "claim",
	    .doc = "Claims that must be there, and have one of these values."),
	MAP(jwt_config, forward, string_pair, type_edited_header, claim_header_keys, .item_word = "header",
	    .doc = "Headers for the backend, filled from claims; the client's own of that name are removed."),
	{ 0 },
};

static const struct key forward_auth_keys[] = {
	TEXT(forward_auth_config, url, type_url, .flags = KEY_REQUIRED,
	     .doc = "The service that is asked; 2xx admits, any other answer goes back to the client."),
	DURATION(forward_auth_config, timeout, .def = "1s", .min = "1ms", .max = "1m", .flags = KEY_NOT_ZERO,
		 .doc = "No answer in time refuses."),
	LIST(forward_auth_config, copy_headers, char *, type_header_lower,
	     .doc = "Headers of its answer that go to the backend."),
	DURATION(forward_auth_config, cache, .def = "0", .max = "1d",
		 .doc = "How long an admission is remembered; 0 is not."),
	{ 0 },
};

const struct key auth_keys[] = {
	OPTIONAL(auth_config, jwt, jwt_config, jwt_keys, .doc = "A JSON Web Token at the handshake."),
	SWITCH(auth_config, refresh, .def = "true",
	       .doc = "Whether a new token of the same sub may take the place of a live connection's: "
		      "POST /.holdfast/auth?connection=ID with the token as at the handshake, the id being what the 101 said in "
		      "Holdfast-Connection; without ?connection= all live connections of that sub are meant."),
	OPTIONAL(auth_config, forward, forward_auth_config, forward_auth_keys, .flags = KEY_LATER, .doc = "Ask a service."),
	{ 0 },
};

/* --- websocket --- */

static const struct key_word over_rate_words[] = {
	{ "delay", OVER_RATE_DELAY, false },
	{ "close", OVER_RATE_CLOSE, false },
	{ "drop", OVER_RATE_DROP, false },
	{ 0 },
};

static const struct key_word opcode_words[] = {
	{ "text", WS_OPCODES_TEXT, false },
	{ "binary", WS_OPCODES_BINARY, false },
	{ 0 },
};

static const struct key_word slow_client_words[] = {
	{ "pause", SLOW_CLIENT_PAUSE, false },
	{ "close", SLOW_CLIENT_CLOSE, false },
	{ "drop_oldest", SLOW_CLIENT_DROP_OLDEST, false },
	{ "latest", SLOW_CLIENT_LATEST, false },
	{ 0 },
};

static const struct key_word compression_words[] = {
	{ "pass", WS_COMPRESSION_PASS, false },
	{ "strip", WS_COMPRESSION_STRIP, false },
	{ "terminate", WS_COMPRESSION_TERMINATE, false },
	{ 0 },
};

static const struct key deflate_keys[] = {
	SWITCH(deflate_policy, context_takeover, .def = "false",
	       .doc = "Whether a message may refer to the ones before it, which compresses better, and costs each connection "
		      "two streams for good: with the defaults 262 KiB for what it is sent and 39 KiB for what it sends. Without, a "
		      "stream is held only while a message is under way. Never where messages may be dropped."),
	UINT(deflate_policy, window_bits, .def = "15", .min = "9", .max = "15", .flags = KEY_NOT_ZERO,
	     .doc = "The window is 2 to this power bytes, both ways; a client may ask for less, and one that does not let itself be "
		    "told uses 15 for what it sends. A stream to a client takes 2^(window_bits + 2) + 2^(memory_level + 9) bytes "
		    "and 6 KiB, one from it 2^window_bits and 7 KiB."),
	UINT(deflate_policy, level, .def = "6", .min = "1", .max = "9", .flags = KEY_NOT_ZERO,
	     .doc = "From fast to small."),
	UINT(deflate_policy, memory_level, .def = "8", .min = "1", .max = "9", .flags = KEY_NOT_ZERO,
	     .doc = "From little memory to fast and small."),
	SIZE(deflate_policy, min_size, .def = "64B", .max = "16KiB",
	     .doc = "A shorter message goes as it is."),
	UINT(deflate_policy, max_ratio, .def = "200", .max = "1100",
	     .doc = "A message of a client that inflates to more than 1 MiB and to more than so many times its size closes the "
		    "connection with 1009; 0 is no limit. max_message_size holds for what it inflates to."),
	{ 0 },
};

const struct key websocket_keys[] = {
	DURATION(websocket_policy, ping_interval, .def = "30s", .min = "1s", .max = "1d",
		 .doc = "A client that has been silent for so long, or up to a quarter less, is pinged; 0 turns it off."),
	DURATION(websocket_policy, backend_ping_interval, .def = "0", .min = "1s", .max = "1d",
		 .doc = "The same for a silent endpoint of a WebSocket."),
	DURATION(websocket_policy, pong_timeout, .def = "10s", .min = "1s", .max = "1h",
		 .doc = "Who is pinged and sends nothing for so long is gone: the backend gets 1001 for a client, the "
			"client 1012 for an endpoint; 0 is never."),
	DURATION(websocket_policy, idle_timeout, .def = "0",
		 .doc = "No message either way for so long ends the connection; 0 is never."),
	DURATION(websocket_policy, max_lifetime, .def = "0",
		 .doc = "A connection older than that is closed with 1012; 0 is never."),
	PERCENT(websocket_policy, max_lifetime_jitter, .def = "10%", .max = "100%",
		.doc = "Lifetimes are shorter by up to so much, so that not all end at once."),
	SIZE(websocket_policy, max_frame_size, .def = "0",
	     .doc = "A longer frame closes the connection with 1009; 0 is no limit."),
	SIZE(websocket_policy, max_message_size, .def = "1MiB",
	     .doc = "A longer message, over all its frames, closes the connection with 1009; 0 is no limit."),
	RATE(websocket_policy, message_rate, .def = "0",
	     .doc = "Messages from one client, its control frames counted in; 0 is no limit."),
	UINT(websocket_policy, message_burst, .def = "0",
	     .doc = "How many may come at once before `message_rate` counts; 0 is one second's worth."),
	BYTE_RATE(websocket_policy, byte_rate, .def = "0",
		  .doc = "Bytes of frames from one client, a second's worth at once; 0 is no limit."),
	ENUM(websocket_policy, over_rate, over_rate, over_rate_words, .def = "delay",
	     .doc = "Above a rate: stop reading for a while, close with 1008, or drop whole messages (permessage-deflate "
		    "is then not offered to the backend)."),
	FLAGS(websocket_policy, opcodes, opcode_words, .def = "text, binary",
	      .doc = "The kinds of messages that a client may send; another closes the connection with 1003."),
	SIZE(websocket_policy, send_buffer, .def = "256KiB", .min = "4KiB", .max = "1GiB",
	     .flags = KEY_NOT_ZERO, .doc = "What may wait for a slow client, beside what its socket holds; when reading stops, up to 256 KiB may be under way."),
	ENUM(websocket_policy, slow_client, slow_client, slow_client_words, .def = "pause",
	     .doc = "When it is full: stop reading the backend, close with 1013 after `slow_timeout`, drop "
		    "the oldest whole "
		    "messages, or keep only the latest (permessage-deflate is then not offered to the backend)."),
	DURATION(websocket_policy, slow_timeout, .def = "10s", .max = "1h",
		 .doc = "How long a client may be slow before slow_client: close closes it."),
	LIST(websocket_policy, subprotocols, char *, type_token,
	     .doc = "Subprotocols that may be agreed on: others are taken out of a client's offer. Absent: all."),
	ENUM(websocket_policy, compression, ws_compression, compression_words, .def = "pass",
	     .doc = "Offers of permessage-deflate are passed to the backend, or taken out, or (terminate) answered by the proxy, "
		    "which inflates and compresses for a backend that hears nothing of it."),
	SECTION(websocket_policy, deflate, deflate_policy, deflate_keys, .doc = "How `compression: terminate` compresses."),
	{ 0 },
};

/* --- fallback --- */

static const struct key_word overflow_words[] = {
	{ "pause", FALLBACK_OVERFLOW_PAUSE, false },
	{ "close", FALLBACK_OVERFLOW_CLOSE, false },
	{ 0 },
};

static const struct key sockjs_keys[] = {
	SWITCH(sockjs_config, websocket, .def = "true",
	       .doc = "Whether SockJS's own WebSocket transport is offered."),
	SWITCH(sockjs_config, cookie, .def = "false",
	       .doc = "Whether clients are told to send a JSESSIONID cookie."),
	SIZE(sockjs_config, response_limit, .def = "128KiB", .min = "4KiB", .flags = KEY_NOT_ZERO,
	     .doc = "A streaming response ends after so many bytes, and the client opens the next."),
	DURATION(sockjs_config, disconnect_delay, .def = "5s", .min = "1s", .max = "1h",
		 .flags = KEY_NOT_ZERO, .doc = "A session without a receiving connection ends after this."),
	DURATION(sockjs_config, heartbeat, .def = "25s", .min = "1s", .max = "1h",
		 .doc = "A heartbeat frame this often."),
	TEXT(sockjs_config, client_url, type_url, .doc = "Where the iframe transports load the client from."),
	TEXT(sockjs_config, target, type_url_path,
	     .doc = "The path of the backend's WebSocket. Absent: the path before SockJS's own part."),
	{ 0 },
};

const struct key fallback_keys[] = {
	LIST(fallback_config, carriers, char *, type_carrier, .def = "websocket, stream, poll, eventsource",
	     .doc = "What may carry a session. websocket is the resumable kind, subprotocol holdfast.1."),
	OPTIONAL(fallback_config, sockjs, sockjs_config, sockjs_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "For clients that speak SockJS."),
	DURATION(fallback_config, keep, .def = "60s", .min = "1s", .max = "1d", .flags = KEY_NOT_ZERO,
		 .doc = "A session outlives its last carrier by this."),
	SIZE(fallback_config, window, .def = "256KiB", .min = "4KiB", .max = "64MiB", .flags = KEY_NOT_ZERO,
	     .doc = "Unacknowledged, each way; and 1,024 messages."),
	ENUM(fallback_config, overflow, fallback_overflow, overflow_words, .def = "pause",
	     .doc = "When the window is full: the backend waits, or the session is closed with 1013."),
	DURATION(fallback_config, beat, .def = "15s", .min = "1s", .max = "1h", .flags = KEY_NOT_ZERO,
		 .doc = "A silent stream carries a sign of life this often."),
	DURATION(fallback_config, hold, .def = "25s", .min = "1s", .max = "5m", .flags = KEY_NOT_ZERO,
		 .doc = "A poll waits this long for a message."),
	{ 0 },
};
