/* The keys of a listener. */
#include "config/keys.h"
#include "config/values.h"

static const struct key_word protocols[] = {
	{ "http", LISTENER_HTTP, false },
	{ "tcp", LISTENER_TCP, false },
	{ 0 },
};

static const struct key_word proxy_protocol_words[] = {
	{ "off", PROXY_PROTOCOL_IN_OFF, false },
	{ "require", PROXY_PROTOCOL_IN_REQUIRE, false },
	{ 0 },
};

static const struct key_word tls_versions[] = {
	{ "1.2", TLS_MIN_1_2, false },
	{ "1.3", TLS_MIN_1_3, false },
	{ 0 },
};

static const struct key_word client_auth_modes[] = {
	{ "off", CLIENT_AUTH_OFF, false },
	{ "optional", CLIENT_AUTH_OPTIONAL, false },
	{ "require", CLIENT_AUTH_REQUIRE, false },
	{ 0 },
};

static const struct key certificate_keys[] = {
	READABLE(certificate_config, cert, .flags = KEY_REQUIRED,
		 .doc = "PEM: the server's certificate, then the chain that leads to its root."),
	READABLE(certificate_config, key, .flags = KEY_REQUIRED, .doc = "PEM: its private key."),
	{ 0 },
};

static const struct key_word unknown_sni_words[] = {
	{ "default", TLS_UNKNOWN_DEFAULT, false },
	{ "reject", TLS_UNKNOWN_REJECT, false },
	{ 0 },
};

static const struct key_word peer_words[] = {
	{ "subject", 0, false },     { "cn", 0, false },  { "issuer", 0, false }, { "serial", 0, false },
	{ "fingerprint", 0, false }, { "dns", 0, false }, { "uri", 0, false },	  { 0 },
};

static const struct key peer_header_keys[] = {
	KEY_ROW(string_pair, "value", value, char *, type_word, .words = peer_words,
		.doc = "What of the certificate: subject and issuer (RFC 2253), cn, serial and fingerprint (SHA-256) in hexadecimal, "
		       "dns or uri (the first of its subjectAltName)."),
	{ 0 },
};

static const struct key client_auth_keys[] = {
	READABLE(client_auth_config, ca, .doc = "PEM: the roots that clients' certificates must lead to."),
	ENUM(client_auth_config, mode, client_auth_mode, client_auth_modes, .def = "require",
	     .doc = "Whether a client must show a certificate, or may."),
	MAP(client_auth_config, forward, string_pair, type_edited_header, peer_header_keys, .item_word = "header",
	    .doc = "Headers for the backend, filled from the client's certificate; the client's own of that name are "
		   "removed, also where it shows none."),
	{ 0 },
};

static const struct key session_tickets_keys[] = {
	DURATION(session_tickets_config, rotate, .def = "12h", .min = "1m", .max = "7d",
		 .doc = "A new key for tickets this often; old ones are accepted for two more periods. 0: "
			"one key for the life "
			"of the process."),
	READABLE(session_tickets_config, key_file,
		 .doc = "Keys shared with other proxies, instead of random ones: 80 bytes each (openssl rand 80), as nginx "
			"has them. The first seals, up to 2 more open; watched, so that whoever writes the file rotates them."),
	{ 0 },
};

static const struct key ocsp_stapling_keys[] = {
	READABLE(ocsp_stapling_config, file, .flags = KEY_REQUIRED,
		 .doc = "DER: the OCSP response to staple."),
	{ 0 },
};

static const struct key tls_keys[] = {
	ITEMS(listener_tls, certificates, certificate_config, certificate_keys, .item_word = "certificate",
	      .place_offset = offsetof(struct certificate_config, place),
	      .doc = "Chosen by the name that the client asks for (SNI) from the names inside; the first is "
		     "the default. RSA and ECDSA for one name serve together. A key that everybody may read is refused."),
	TEXT(listener_tls, certificate_dir, type_directory,
	     .doc = "More of them: every NAME.pem or NAME.crt with its NAME.key in this directory, in the order of their names. "
		    "Watched: what is added, replaced or removed is so without a reload."),
	ENUM(listener_tls, unknown_sni, tls_unknown_sni, unknown_sni_words, .def = "default",
	     .doc = "A client that asks for a name that no certificate has, or for none: gets the default, or an alert."),
	ENUM(listener_tls, min_version, tls_min_version, tls_versions, .def = "1.2",
	     .doc = "The oldest TLS accepted."),
	STRING(listener_tls, ciphers,
	       .doc = "An OpenSSL cipher list for TLS 1.2. Absent: AEAD with forward secrecy only."),
	STRING(listener_tls, ciphersuites, .doc = "An OpenSSL list for TLS 1.3. Absent: OpenSSL's own."),
	STRING(listener_tls, curves, .doc = "An OpenSSL list of groups. Absent: X25519, then P-256."),
	LIST(listener_tls, alpn, char *, type_alpn, .def = "http/1.1",
	     .doc = "Protocols offered to clients, preferred first. With protocol tcp the default is none."),
	OPTIONAL(listener_tls, client_auth, client_auth_config, client_auth_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "Certificates of clients. Absent: not asked for."),
	OPTIONAL(listener_tls, session_tickets, session_tickets_config, session_tickets_keys,
		 .flags = KEY_CAN_BE_OFF | KEY_IS_ON,
		 .doc = "Resumption without a full handshake; may be off."),
	OPTIONAL(listener_tls, ocsp_stapling, ocsp_stapling_config, ocsp_stapling_keys,
		 .flags = KEY_CAN_BE_OFF, .doc = "Proof that the certificate is not revoked, sent along."),
	{ 0 },
};

static const struct key timeouts_keys[] = {
	DURATION(listener_timeouts, handshake, .def = "10s", .max = "1h",
		 .doc = "For the PROXY header and the TLS handshake, together."),
	DURATION(listener_timeouts, header, .def = "10s", .max = "1h",
		 .doc = "From the first byte of a request to the end of its headers; else 408."),
	DURATION(listener_timeouts, body, .def = "30s", .max = "1d",
		 .doc = "Between two pieces of a request's body; else 408."),
	DURATION(listener_timeouts, keep_alive, .def = "75s", .max = "1d",
		 .doc = "Between two requests of a connection."),
	DURATION(listener_timeouts, idle, .def = "10m",
		 .doc = "With protocol tcp: no byte either way for so long ends the connection."),
	{ 0 },
};

static const struct key http_keys[] = {
	SIZE(http_limits, max_header_size, .def = "32KiB", .min = "1KiB", .max = "1MiB",
	     .flags = KEY_NOT_ZERO,
	     .doc = "A longer request head is answered with 431 (or 414 where the line alone is longer)."),
	UINT(http_limits, max_headers, .def = "100", .min = "1", .max = "10000", .flags = KEY_NOT_ZERO,
	     .doc = "More header fields than that are answered with 431."),
	SIZE(http_limits, max_body_size, .def = "16MiB",
	     .doc = "A longer request body is answered with 413; 0 is no limit."),
	{ 0 },
};

static const struct key listener_limits_keys[] = {
	UINT(listener_limits, max_connections, .def = "0",
	     .doc = "Connections of this listener; further ones are reset before TLS. 0 is no limit."),
	SECTION(listener_limits, per_ip, per_ip_limits, per_ip_keys,
		.doc = "Limits for each client address, of this listener alone."),
	{ 0 },
};

static const struct key listener_access_keys[] = {
	LIST(listener_access, allow, struct cidr, type_cidr,
	     .doc = "Only these networks; empty is everybody."),
	LIST(listener_access, deny, struct cidr, type_cidr, .doc = "Not these."),
	{ 0 },
};

static const struct key sni_keys[] = {
	KEY_ROW(sni_route, "cluster", cluster, char *, type_name, .doc = "The cluster for this name."),
	{ 0 },
};

static bool listener_is_http(const void *base)
{
	return ((const struct listener_config *)base)->protocol == LISTENER_HTTP;
}

static bool listener_is_tcp(const void *base)
{
	return ((const struct listener_config *)base)->protocol == LISTENER_TCP;
}

#define FOR_HTTP \
	.applies = listener_is_http, .otherwise = "is for protocol http: a tcp listener has \"cluster\""
#define FOR_TCP \
	.applies = listener_is_tcp, .otherwise = "is for protocol tcp: with http, a route names its cluster"

const struct key listener_keys[] = {
	TEXT(listener_config, name, type_name, .flags = KEY_REQUIRED,
	     .doc = "What it is called in logs and metrics, and by which a reload knows it again."),
	LIST(listener_config, bind, struct addr, type_addr, .flags = KEY_REQUIRED,
	     .doc = "Addresses to listen on: IPv4, IPv6, or unix:PATH."),
	ENUM(listener_config, protocol, listener_protocol, protocols, .def = "http",
	     .doc = "http understands requests and WebSockets and has routes; tcp passes bytes to a "
		    "cluster."),
	ENUM(listener_config, proxy_protocol, proxy_protocol_in, proxy_protocol_words, .def = "off",
	     .doc = "Whether every connection must open with a PROXY header (version 1 or 2)."),
	LIST(listener_config, proxy_protocol_from, struct cidr, type_cidr,
	     .doc = "Networks that may send a PROXY header; empty is everybody, so name your balancers."),
	OPTIONAL(listener_config, tls, listener_tls, tls_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "Absent: plaintext."),
	SECTION(listener_config, timeouts, listener_timeouts, timeouts_keys,
		.doc = "How long a client may take. 0 is no limit."),
	SECTION(listener_config, http, http_limits, http_keys, FOR_HTTP, .doc = "Bounds of requests."),
	SECTION(listener_config, limits, listener_limits, listener_limits_keys,
		.doc = "Limits of this listener."),
	SECTION(listener_config, access, listener_access, listener_access_keys,
		.doc = "Who may connect."),
	ITEMS(listener_config, routes, route_config, route_keys, FOR_HTTP, .item_word = "route",
	      .doc = "With protocol http: the first route that matches is taken; none is 404."),
	TEXT(listener_config, cluster, type_name, FOR_TCP, .doc = "With protocol tcp: where connections go."),
	MAP(listener_config, sni, sni_route, type_server_name, sni_keys, FOR_TCP,
	    .item_word = "server name",
	    .doc = "With protocol tcp and without `tls`: clusters by the name in the ClientHello, which is "
		   "passed on unopened; `cluster` serves other names, and who says none."),
	{ 0 },
};
