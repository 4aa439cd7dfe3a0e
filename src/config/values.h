/* The types of single values: from text, to text, and what an editor is told of them. */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/key.h"

/* Numbers and words (values.c). */
extern const struct value_type type_bool;      /* bool */
extern const struct value_type type_uint;      /* uint32_t */
extern const struct value_type type_workers;   /* uint32_t; "auto" is 0 */
extern const struct value_type type_duration;  /* uint64_t, milliseconds */
extern const struct value_type type_size;      /* uint64_t, bytes */
extern const struct value_type type_rate;      /* double, per second */
extern const struct value_type type_byte_rate; /* double, bytes per second */
extern const struct value_type type_percent;   /* double */
extern const struct value_type type_decimal;   /* double */
extern const struct value_type type_enum;      /* an enum of four bytes, by key.words */

/* Text (values_text.c): `char *`. */
extern const struct value_type type_string; /* anything but nothing */
extern const struct value_type
	type_name; /* of a listener, route, cluster: goes into logs, metrics and URLs */
extern const struct value_type type_directory;	    /* a directory that can be listed now */
extern const struct value_type type_word;	    /* one of the row's words, kept as text */
extern const struct value_type type_file;	    /* a file that can be read now */
extern const struct value_type type_header;	    /* a header name, as written */
extern const struct value_type type_header_lower;   /* a header name, lower case */
extern const struct value_type type_edited_header;  /* a header name that a rule may change */
extern const struct value_type type_removed_header; /* the same, lower case */
extern const struct value_type type_method;	    /* an HTTP method */
extern const struct value_type type_token;	    /* an HTTP token: subprotocols, cookie names */
extern const struct value_type type_alpn;	    /* an ALPN protocol */
extern const struct value_type type_url;	    /* http:// or https:// */
extern const struct value_type type_origin;	    /* scheme://host, "*." in front of the host allowed */
extern const struct value_type type_url_path;	    /* begins with '/' */
extern const struct value_type type_replacement;    /* a path, or one made of $1..$9 */
extern const struct value_type type_algorithm;	    /* a name of cluster/'s table */
extern const struct value_type
	type_jwt_algorithm; /* a JWS algorithm (RFC 7518 section 3.1, RFC 8037), never "none" */
extern const struct value_type type_carrier; /* a name of the fallback's table */

/* What is compared, and what names a client (values_match.c). */
extern const struct value_type type_host_pattern;  /* struct pattern */
extern const struct value_type type_path_pattern;  /* struct pattern */
extern const struct value_type type_value_pattern; /* struct pattern: EXACT or REGEX */
extern const struct value_type type_server_name;   /* char *: an exact or "*." host */
extern const struct value_type type_request_key;   /* struct request_key */
extern const struct value_type type_token_source;  /* struct token_source */
extern const struct value_type type_template;	   /* struct template */

/* Addresses (values_addr.c). */
extern const struct value_type type_mode;      /* uint32_t: permissions, octal */
extern const struct value_type type_addr;      /* struct addr with a port, or UNIX */
extern const struct value_type type_host_addr; /* struct addr without a port */
extern const struct value_type type_cidr;      /* struct cidr */
extern const struct value_type type_endpoint;  /* char *: host:port, names too, or unix:PATH */

/* The parts of an endpoint's address; `host` has room for all of `text`.  False when it is none. */
bool endpoint_split(const char *text, char *host, uint32_t *port);
/* A pattern from host text, for tables whose names are hosts. */
bool pattern_parse_host(struct value_input *in, struct pattern *out);

/* Helpers of the types. */
bool value_refuse(struct value_input *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A double-quoted YAML scalar (and JSON string) for any bytes of UTF-8; "${" is written so that it stays. */
void value_print_quoted(FILE *out, const char *text);
void value_print_prefixed(FILE *out, const char *prefix, const char *joint,
			  const char *text); /* plain words before */
void value_print_json(FILE *out, const char *text);
void value_print_text(FILE *out, const struct key *row, const void *value); /* of a `char *` */
bool value_text_is_set(const void *value);
void value_schema_string(FILE *out, const struct key *row);

/* The words that a closed set allows, as "a, b or c". */
void value_words_text(const struct key_word *words, char *out, size_t size);
/* The names of the tables that main handed in; and of those, which are not in effect. */
const char *const *config_algorithms(void);
const char *const *config_carriers(void);
const char *const *config_known_algorithms(void); /* in effect or to come */

#endif
