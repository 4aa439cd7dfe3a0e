/* The types of single values: text of several kinds, all `char *`. */
#include "config/values.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "config/suggest.h"

#define NAME_MAX_BYTES 128

static const char *const default_algorithms[] = { "round_robin", "least_connections", NULL };
static const char *const known_algorithms[] = { "round_robin", "least_connections", "random_two",
						"ip_hash",     "consistent_hash",   NULL };
static const char *const default_carriers[] = { "websocket", "stream", "poll", "eventsource", NULL };

static const char *const jwt_algorithms[] = { "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256",
					      "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", NULL };

static const char *const *algorithms = default_algorithms;
static const char *const *carriers = default_carriers;

void config_set_algorithms(const char *const *names)
{
	algorithms = names == NULL ? default_algorithms : names;
}

void config_set_carriers(const char *const *names)
{
	carriers = names == NULL ? default_carriers : names;
}

const char *const *config_algorithms(void)
{
	return algorithms;
}

const char *const *config_known_algorithms(void)
{
	return known_algorithms;
}

const char *const *config_carriers(void)
{
	return carriers;
}

/* --- written --- */

/* What YAML would not take back as it is, or would fold: controls, line separators, byte order marks. */
static size_t unprintable_at(const unsigned char *p)
{
	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0xa0)
		return 2;
	if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
		return 3;
	if (p[0] == 0xef && ((p[1] == 0xbb && p[2] == 0xbf) || (p[1] == 0xbf && p[2] >= 0xbe)))
		return 3;
	return 0;
}

static unsigned code_point(const unsigned char *p, size_t len)
{
	if (len == 1)
		return p[0];
	if (len == 2)
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

static void print_escaped(FILE *out, const char *text, bool keeps_variables)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		size_t len = unprintable_at(p);

		if (len > 0) {
			fprintf(out, "\\u%04X", code_point(p, len));
			p += len;
			continue;
		}
		if (*p == '"' || *p == '\\')
			fputc('\\', out);
		if (keeps_variables && p[0] == '$' && p[1] == '{')
			fputc('$', out);
		fputc(*p++, out);
	}
}

void value_print_quoted(FILE *out, const char *text)
{
	value_print_prefixed(out, "", "", text);
}

void value_print_prefixed(FILE *out, const char *prefix, const char *joint, const char *text)
{
	fprintf(out, "\"%s%s", prefix, joint);
	print_escaped(out, text, true);
	fputc('"', out);
}

void value_print_json(FILE *out, const char *text)
{
	fputc('"', out);
	print_escaped(out, text, false);
	fputc('"', out);
}

void value_print_text(FILE *out, const struct key *row, const void *value)
{
	(void)row;
	value_print_quoted(out, *(char *const *)value == NULL ? "" : *(char *const *)value);
}

bool value_text_is_set(const void *value)
{
	return *(char *const *)value != NULL;
}

/* What is text here may look like a number or a boolean to YAML: `headers: { X-Version: 2 }`. */
void value_schema_string(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"type\": [\"string\", \"number\", \"boolean\"]}", out);
}

/* --- read --- */

static bool text_keep(struct value_input *in, void *out)
{
	*(char **)out = config_memory_text(in->memory, in->text, in->len);
	return true; /* a want of memory is noticed for the whole load */
}

static bool text_keep_lower(struct value_input *in, void *out)
{
	char *copy = config_memory_text(in->memory, in->text, in->len);

	for (char *p = copy; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	*(char **)out = copy;
	return true;
}

static bool has_control(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return true;
	return false;
}

static bool parse_string(struct value_input *in, void *out)
{
	if (in->len == 0)
		return value_refuse(in, "an empty text means nothing here: leave the key out");
	if (has_control(in->text))
		return value_refuse(in, "control characters (such as a line break) are not allowed here");
	return text_keep(in, out);
}

#define TEXT_TYPE(n, p)                                                                   \
	{                                                                                 \
		.name = n, .size = sizeof(char *), .parse = p, .print = value_print_text, \
		.is_set = value_text_is_set, .schema = value_schema_string                \
	}

const struct value_type type_string = TEXT_TYPE("text", parse_string);

static bool parse_name(struct value_input *in, void *out)
{
	if (in->len == 0 || in->len > NAME_MAX_BYTES)
		return value_refuse(in, "a name has 1 to %d bytes", NAME_MAX_BYTES);
	for (const unsigned char *p = (const unsigned char *)in->text; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f || strchr("\"'\\/?#", *p) != NULL)
			return value_refuse(in,
					    "\"%.80s\" is no name: spaces, quotes, slashes, ? and # are not "
					    "allowed",
					    in->text);
	return text_keep(in, out);
}

const struct value_type type_name = TEXT_TYPE("name", parse_name);

/* Opened as well as looked at: permissions are not all that can stand in the way.  Only plain files are
 * opened, since to open a device or a FIFO does something. */
static int file_try(const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) != 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 ? 0 : errno;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static bool parse_file(struct value_input *in, void *out)
{
	int error;

	if (!parse_string(in, out))
		return false;
	error = file_try(in->text);
	if (error != 0)
		return value_refuse(in, "cannot read \"%.200s\": %s", in->text, strerror(error));
	return true;
}

const struct value_type type_file = TEXT_TYPE("file", parse_file);

static bool parse_directory(struct value_input *in, void *out)
{
	DIR *d;

	if (!parse_string(in, out))
		return false;
	d = opendir(in->text);
	if (d == NULL)
		return value_refuse(in, "cannot list \"%.200s\": %s", in->text, strerror(errno));
	closedir(d);
	return true;
}

const struct value_type type_directory = TEXT_TYPE("directory", parse_directory);

static bool parse_word(struct value_input *in, void *out)
{
	char all[256] = "";
	size_t len = 0;

	for (const struct key_word *w = in->row->words; w->word != NULL; w++) {
		if (strcmp(w->word, in->text) == 0)
			return text_keep(in, out);
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? ", " : "", w->word);
	}
	return value_refuse(in, "\"%.80s\" is none of %s", in->text, all);
}

const struct value_type type_word = TEXT_TYPE("word", parse_word);

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *text)
{
	if (*text == '\0')
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (!(*p < 0x80 && isalnum(*p)) && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
			return false;
	return true;
}

static bool parse_token(struct value_input *in, void *out)
{
	if (!is_token(in->text))
		return value_refuse(in,
				    "\"%.80s\" holds what a protocol or cookie name may not: use letters, "
				    "digits, - . _",
				    in->text);
	return text_keep(in, out);
}

const struct value_type type_token = TEXT_TYPE("token", parse_token);

static bool parse_header(struct value_input *in, void *out)
{
	if (!is_token(in->text))
		return value_refuse(in, "\"%.80s\" is no header name: letters, digits and - only", in->text);
	return text_keep(in, out);
}

const struct value_type type_header = TEXT_TYPE("header name", parse_header);

static bool parse_header_lower(struct value_input *in, void *out)
{
	return parse_header(in, out) && text_keep_lower(in, out);
}

const struct value_type type_header_lower = TEXT_TYPE("header name", parse_header_lower);

/* Framing and handshakes are the proxy's own: a rule that changed them could make two messages of one. */
static bool parse_edited_header(struct value_input *in, void *out)
{
	static const char *const own[] = {
		"connection",
		"content-length",
		"keep-alive",
		"proxy-connection",
		"te",
		"trailer",
		"transfer-encoding",
		"upgrade",
		"sec-websocket-key",
		"sec-websocket-accept",
		"sec-websocket-version",
		"sec-websocket-extensions",
	};

	if (!parse_header(in, out))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcasecmp(in->text, own[i]) == 0)
			return value_refuse(in,
					    "\"%s\" is set by the proxy itself and cannot be changed: leave "
					    "it out",
					    in->text);
	return true;
}

const struct value_type type_edited_header = TEXT_TYPE("header name", parse_edited_header);

static bool parse_removed_header(struct value_input *in, void *out)
{
	return parse_edited_header(in, out) && text_keep_lower(in, out);
}

const struct value_type type_removed_header = TEXT_TYPE("header name", parse_removed_header);

static bool parse_method(struct value_input *in, void *out)
{
	char upper[32];
	size_t i;

	if (!is_token(in->text) || in->len >= sizeof(upper))
		return value_refuse(in, "\"%.80s\" is no HTTP method: write GET, POST ...", in->text);
	for (i = 0; i < in->len; i++)
		upper[i] = (char)toupper((unsigned char)in->text[i]);
	upper[i] = '\0';
	if (strcmp(upper, in->text) != 0)
		return value_refuse(in, "methods are written in capitals: \"%s\" is \"%s\"", in->text, upper);
	if (strcmp(upper, "CONNECT") == 0)
		return value_refuse(in, "CONNECT is always refused: leave it out");
	return text_keep(in, out);
}

const struct value_type type_method = TEXT_TYPE("HTTP method", parse_method);

static bool parse_alpn(struct value_input *in, void *out)
{
	if (in->len == 0 || in->len > 255 || has_control(in->text))
		return value_refuse(in, "an ALPN protocol has 1 to 255 bytes: write h2 or http/1.1");
	in->is_later = strcmp(in->text, "h2") == 0;
	return text_keep(in, out);
}

const struct value_type type_alpn = TEXT_TYPE("ALPN protocol", parse_alpn);

/* --- URLs --- */

static bool parse_url(struct value_input *in, void *out)
{
	const char *host = strncmp(in->text, "http://", 7) == 0	   ? in->text + 7
			   : strncmp(in->text, "https://", 8) == 0 ? in->text + 8
								   : NULL;

	if (host == NULL || *host == '\0' || *host == '/' || has_control(in->text) ||
	    strchr(in->text, ' ') != NULL)
		return value_refuse(in, "\"%.80s\" is no URL: write http://HOST/PATH or https://HOST/PATH",
				    in->text);
	return text_keep(in, out);
}

const struct value_type type_url = TEXT_TYPE("URL", parse_url);

static bool parse_origin(struct value_input *in, void *out)
{
	const char *host = strstr(in->text, "://");

	if (strcmp(in->text, "null") == 0) /* RFC 6454 section 7: what sandboxed pages send */
		return text_keep(in, out);
	if (host == NULL || host == in->text || host[3] == '\0' || strpbrk(host + 3, "/ ?#") != NULL ||
	    has_control(in->text))
		return value_refuse(in,
				    "\"%.80s\" is no origin: write https://HOST or https://*.HOST, without a "
				    "path",
				    in->text);
	if (strchr(host, '*') != NULL && (strncmp(host + 3, "*.", 2) != 0 || strchr(host + 4, '*') != NULL))
		return value_refuse(in, "\"%.80s\": a * may only stand as the first label, https://*.HOST",
				    in->text);
	return text_keep_lower(in, out);
}

const struct value_type type_origin = TEXT_TYPE("origin", parse_origin);

static bool parse_url_path(struct value_input *in, void *out)
{
	if (in->text[0] != '/' || has_control(in->text) || strchr(in->text, ' ') != NULL)
		return value_refuse(in, "\"%.80s\" is no path: it begins with / and holds no spaces",
				    in->text);
	return text_keep(in, out);
}

const struct value_type type_url_path = TEXT_TYPE("path", parse_url_path);

static bool parse_replacement(struct value_input *in, void *out)
{
	if ((in->text[0] != '/' && in->text[0] != '$') || has_control(in->text) ||
	    strchr(in->text, ' ') != NULL)
		return value_refuse(in,
				    "\"%.80s\" makes no path: it begins with / (or with $1) and holds no "
				    "spaces",
				    in->text);
	return text_keep(in, out);
}

const struct value_type type_replacement = TEXT_TYPE("path with $1..$9", parse_replacement);

/* --- names of higher floors --- */

static bool names_have(const char *const *names, const char *text)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, text) == 0)
			return true;
	return false;
}

static bool refuse_name(struct value_input *in, const char *noun, const char *const *names)
{
	char hint[120], all[200] = "";

	suggest_name(in->text, names, hint, sizeof(hint));
	for (size_t i = 0, used = 0; names[i] != NULL && used < sizeof(all); i++) {
		int n = snprintf(all + used, sizeof(all) - used, "%s%s",
				 i == 0			? ""
				 : names[i + 1] == NULL ? " or "
							: ", ",
				 names[i]);

		used += n < 0 ? 0 : (size_t)n;
	}
	return value_refuse(in, "\"%.80s\" is no %s%s: write %s", in->text, noun, hint, all);
}

static bool parse_algorithm(struct value_input *in, void *out)
{
	if (!names_have(algorithms, in->text)) {
		if (!names_have(known_algorithms, in->text))
			return refuse_name(in, "algorithm", known_algorithms);
		in->is_later = true;
	}
	return text_keep(in, out);
}

static void schema_names(FILE *out, const char *const *names)
{
	fputs("{\"anyOf\": [{\"enum\": [", out);
	for (size_t i = 0; names[i] != NULL; i++) {
		fputs(i == 0 ? "" : ", ", out);
		value_print_json(out, names[i]);
	}
	fputs("]}, {\"$ref\": \"#/$defs/environment\"}]}", out);
}

static void schema_algorithm(FILE *out, const struct key *row)
{
	(void)row;
	schema_names(out, known_algorithms);
}

const struct value_type type_algorithm = {
	.name = "algorithm",
	.size = sizeof(char *),
	.parse = parse_algorithm,
	.print = value_print_text,
	.is_set = value_text_is_set,
	.schema = schema_algorithm,
};

static bool parse_carrier(struct value_input *in, void *out)
{
	if (!names_have(carriers, in->text))
		return refuse_name(in, "carrier", carriers);
	return text_keep(in, out);
}

static void schema_carrier(FILE *out, const struct key *row)
{
	(void)row;
	schema_names(out, carriers);
}

const struct value_type type_carrier = {
	.name = "carrier",
	.size = sizeof(char *),
	.parse = parse_carrier,
	.print = value_print_text,
	.is_set = value_text_is_set,
	.schema = schema_carrier,
};

static bool parse_jwt_algorithm(struct value_input *in, void *out)
{
	if (!names_have(jwt_algorithms, in->text))
		return refuse_name(in, "algorithm for tokens", jwt_algorithms);
	return text_keep(in, out);
}

static void schema_jwt_algorithm(FILE *out, const struct key *row)
{
	(void)row;
	schema_names(out, jwt_algorithms);
}

const struct value_type type_jwt_algorithm = {
	.name = "token algorithm",
	.size = sizeof(char *),
	.parse = parse_jwt_algorithm,
	.print = value_print_text,
	.is_set = value_text_is_set,
	.schema = schema_jwt_algorithm,
};
