/* The types of single values: addresses, networks, and who may use a socket. */
#include "config/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "config/units.h"

static bool addr_is_set(const void *value)
{
	return ((const struct addr *)value)->len > 0;
}

static bool parse_addr(struct value_input *in, void *out)
{
	struct addr a;

	if (addr_parse(&a, in->text) != 0)
		return value_refuse(in,
				    "\"%.120s\" is no address: write 0.0.0.0:443, \"[::]:443\" or "
				    "unix:/run/holdfast.sock%s",
				    in->text,
				    strncmp(in->text, "unix:", 5) == 0 ? " (107 bytes of path at most)" : "");
	*(struct addr *)out = a;
	return true;
}

static void print_addr(FILE *out, const struct key *row, const void *value)
{
	char text[ADDR_TEXT_MAX];

	(void)row;
	addr_print(value, text);
	value_print_quoted(out, text);
}

const struct value_type type_addr = {
	.name = "address",
	.size = sizeof(struct addr),
	.parse = parse_addr,
	.print = print_addr,
	.is_set = addr_is_set,
	.schema = value_schema_string,
};

static bool parse_host_addr(struct value_input *in, void *out)
{
	struct addr a = { 0 };

	if (inet_pton(AF_INET, in->text, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.len = sizeof(a.in);
	} else if (inet_pton(AF_INET6, in->text, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
	} else {
		return value_refuse(in,
				    "\"%.80s\" is no IP address: write 10.0.0.1 or \"2001:db8::1\", without "
				    "a port",
				    in->text);
	}
	*(struct addr *)out = a;
	return true;
}

static void print_host_addr(FILE *out, const struct key *row, const void *value)
{
	const struct addr *a = value;
	char text[INET6_ADDRSTRLEN] = "";
	const void *bytes =
		a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr : (const void *)&a->in6.sin6_addr;

	(void)row;
	inet_ntop(a->sa.sa_family, bytes, text, sizeof(text));
	value_print_quoted(out, text);
}

const struct value_type type_host_addr = {
	.name = "IP address",
	.size = sizeof(struct addr),
	.parse = parse_host_addr,
	.print = print_host_addr,
	.is_set = addr_is_set,
	.schema = value_schema_string,
};

static bool parse_cidr(struct value_input *in, void *out)
{
	struct cidr c;
	int error = cidr_parse(&c, in->text);

	if (error == -ERANGE)
		return value_refuse(in,
				    "\"%.80s\" has bits behind its prefix length: write the network's first "
				    "address",
				    in->text);
	if (error != 0)
		return value_refuse(in,
				    "\"%.80s\" is no network: write 10.0.0.0/8, \"2001:db8::/32\" or one "
				    "address",
				    in->text);
	*(struct cidr *)out = c;
	return true;
}

static void print_cidr(FILE *out, const struct key *row, const void *value)
{
	char text[CIDR_TEXT_MAX];

	(void)row;
	cidr_print(value, text);
	value_print_quoted(out, text);
}

const struct value_type type_cidr = {
	.name = "network",
	.size = sizeof(struct cidr),
	.parse = parse_cidr,
	.print = print_cidr,
	.schema = value_schema_string,
};

/* --- endpoints: names are allowed, and resolved by who connects --- */

static bool is_host_name(const char *text, size_t len)
{
	if (len == 0 || len > 253 || text[0] == '-' || text[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!(c < 0x80 && isalnum(c)) && c != '-' && c != '.' && c != '_')
			return false;
		if (c == '.' && i + 1 < len && text[i + 1] == '.')
			return false;
	}
	return true;
}

/* "1.2.3.400" is nobody's name; to look it up would only be late. */
static bool is_bad_ipv4(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (isdigit((unsigned char)text[i]) || text[i] == '.'))
		i++;
	return i == len;
}

bool endpoint_split(const char *text, char *host, uint32_t *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t number;
	struct addr a;
	size_t len;

	if (strncmp(text, "unix:", 5) == 0) {
		strcpy(host, text + 5);
		*port = 0;
		return addr_parse(&a, text) == 0;
	}
	if (colon == NULL || units_parse_uint(colon + 1, 65535, &number) != UNITS_OK || number == 0)
		return false;
	*port = (uint32_t)number;
	len = (size_t)(colon - text);
	if (addr_parse(&a, text) == 0 && text[0] != '*' && len > 0) {
		bool has_brackets = text[0] == '[' && len > 2;

		memcpy(host, text + has_brackets, len - 2 * has_brackets);
		host[len - 2 * has_brackets] = '\0';
		return true;
	}
	if (!is_host_name(text, len) || is_bad_ipv4(text, len))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return true;
}

static bool parse_endpoint(struct value_input *in, void *out)
{
	char *host = config_memory_alloc(in->memory, in->len + 1);
	uint32_t port;

	if (host == NULL)
		return true; /* noticed for the whole load */
	if (!endpoint_split(in->text, host, &port))
		return value_refuse(in,
				    "\"%.120s\" is no endpoint: write HOST:PORT, such as 10.0.0.1:8080, "
				    "\"[::1]:8080\" or "
				    "chat.internal:8080, or unix:/run/chat.sock",
				    in->text);
	*(char **)out = config_memory_text(in->memory, in->text, in->len);
	return true;
}

const struct value_type type_endpoint = {
	.name = "host:port",
	.size = sizeof(char *),
	.parse = parse_endpoint,
	.print = value_print_text,
	.is_set = value_text_is_set,
	.schema = value_schema_string,
};

static bool parse_mode(struct value_input *in, void *out)
{
	uint32_t mode = 0;

	for (size_t i = 0; i < in->len; i++) {
		if (in->text[i] < '0' || in->text[i] > '7' || in->len < 3 || in->len > 4)
			return value_refuse(in, "\"%.40s\" is no mode: write \"0660\"", in->text);
		mode = mode * 8 + (uint32_t)(in->text[i] - '0');
	}
	if (in->len == 0 || mode > 0777)
		return value_refuse(in, "\"%.40s\" is no mode: write \"0660\"", in->text);
	*(uint32_t *)out = mode;
	return true;
}

static void print_mode(FILE *out, const struct key *row, const void *value)
{
	(void)row;
	fprintf(out, "\"%04o\"", *(const uint32_t *)value);
}

const struct value_type type_mode = {
	.name = "mode",
	.size = sizeof(uint32_t),
	.parse = parse_mode,
	.print = print_mode,
	.schema = value_schema_string,
};
