/* The types of single values: patterns, what names a client, templates with variables. */
#include "config/values.h"

#include <ctype.h>
#include <string.h>

#include "base/list.h"

static const char *skip_spaces(const char *text)
{
	while (*text == ' ')
		text++;
	return text;
}

/* --- patterns --- */

static bool pattern_set(struct value_input *in, struct pattern *out, enum pattern_kind kind, const char *text)
{
	out->kind = kind;
	out->text_len = strlen(text);
	out->text = config_memory_text(in->memory, text, out->text_len);
	out->regex = NULL;
	return true;
}

static bool pattern_set_regex(struct value_input *in, struct pattern *out, const char *expression)
{
	char error[160] = "";
	size_t offset = 0;
	struct regex *r;

	if (*expression == '\0')
		return value_refuse(in, "\"~\" stands alone: a regular expression must follow it");
	r = regex_new(expression, error, sizeof(error), &offset);
	if (r == NULL)
		return value_refuse(in, "regular expression \"%.100s\": %s, at byte %zu", expression, error,
				    offset + 1);
	if (!config_memory_take_regex(in->memory, r))
		return true; /* noticed for the whole load */
	pattern_set(in, out, PATTERN_REGEX, expression);
	out->regex = r;
	return true;
}

static void print_pattern(FILE *out, const struct key *row, const void *value)
{
	static const char *const marks[] = {
		[PATTERN_EXACT] = "= ", [PATTERN_PREFIX] = "", [PATTERN_SUFFIX] = "*", [PATTERN_REGEX] = "~ "
	};
	const struct pattern *p = value;
	const char *mark = marks[p->kind];

	if (p->kind == PATTERN_EXACT && row->type != &type_path_pattern)
		mark = "";
	value_print_prefixed(out, mark, "", p->text == NULL ? "" : p->text);
}

static bool is_host_text(const char *text)
{
	if (*text == '\0' || strlen(text) > 253)
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (!(*p < 0x80 && isalnum(*p)) && strchr("-._[]:", *p) == NULL)
			return false;
	return true;
}

/* Exact, or "*." and at least one label: text of the pattern begins with the dot. */
bool pattern_parse_host(struct value_input *in, struct pattern *out)
{
	bool is_suffix = strncmp(in->text, "*.", 2) == 0;
	const char *host = is_suffix ? in->text + 1 : in->text;
	const char *last_colon = strrchr(host, ':');

	if (!is_host_text(is_suffix ? host + 1 : host))
		return value_refuse(in,
				    "\"%.120s\" is no host: write chat.example.com, \"*.example.com\" or \"~ "
				    "REGEX\"%s",
				    in->text,
				    strcmp(in->text, "*") == 0 ? "; leave the key out for any host" : "");
	if (last_colon != NULL && host[0] != '[')
		return value_refuse(in, "\"%.120s\": hosts are compared without their port, leave it out",
				    in->text);
	pattern_set(in, out, is_suffix ? PATTERN_SUFFIX : PATTERN_EXACT, host);
	for (char *p = out->text; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return true;
}

static bool parse_host_pattern(struct value_input *in, void *out)
{
	if (in->text[0] == '~')
		return pattern_set_regex(in, out, skip_spaces(in->text + 1));
	return pattern_parse_host(in, out);
}

const struct value_type type_host_pattern = {
	.name = "host pattern",
	.size = sizeof(struct pattern),
	.parse = parse_host_pattern,
	.print = print_pattern,
	.schema = value_schema_string,
};

static bool parse_server_name(struct value_input *in, void *out)
{
	struct pattern p;

	if (!pattern_parse_host(in, &p))
		return false;
	*(char **)out = config_memory_text(in->memory, in->text, in->len);
	return true;
}

const struct value_type type_server_name = {
	.name = "server name",
	.size = sizeof(char *),
	.parse = parse_server_name,
	.print = value_print_text,
	.is_set = value_text_is_set,
	.schema = value_schema_string,
};

static bool parse_path_pattern(struct value_input *in, void *out)
{
	const char *path = in->text;
	enum pattern_kind kind = PATTERN_PREFIX;

	if (path[0] == '~')
		return pattern_set_regex(in, out, skip_spaces(path + 1));
	if (path[0] == '=') {
		kind = PATTERN_EXACT;
		path = skip_spaces(path + 1);
	}
	if (path[0] != '/' && !(kind == PATTERN_EXACT && strcmp(path, "*") == 0))
		return value_refuse(in, "\"%.120s\" is no path: write /prefix, \"= /exact\" or \"~ REGEX\"",
				    in->text);
	for (const unsigned char *p = (const unsigned char *)path; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '?' || *p == '#')
			return value_refuse(in,
					    "\"%.120s\": a path holds no spaces, ? or #; arguments go under "
					    "`query:`",
					    in->text);
	return pattern_set(in, out, kind, path);
}

static bool value_pattern_is_set(const void *value)
{
	const struct pattern *p = value;

	return p->kind == PATTERN_REGEX || p->text_len > 0;
}

const struct value_type type_path_pattern = {
	.name = "path pattern",
	.size = sizeof(struct pattern),
	.parse = parse_path_pattern,
	.print = print_pattern,
	.is_set = value_pattern_is_set,
	.schema = value_schema_string,
};

/* A literal that begins with "~" is a slip more often than a value. */
static bool parse_value_pattern(struct value_input *in, void *out)
{
	if (in->text[0] == '~')
		return pattern_set_regex(in, out, skip_spaces(in->text + 1));
	return pattern_set(in, out, PATTERN_EXACT, in->text);
}

const struct value_type type_value_pattern = {
	.name = "text or ~ regex",
	.size = sizeof(struct pattern),
	.parse = parse_value_pattern,
	.print = print_pattern,
	.is_set = value_pattern_is_set,
	.schema = value_schema_string,
};

static bool path_has_prefix(const struct pattern *p, const char *text, size_t len)
{
	if (len < p->text_len || memcmp(text, p->text, p->text_len) != 0)
		return false;
	return len == p->text_len || text[p->text_len] == '/' ||
	       (p->text_len > 0 && p->text[p->text_len - 1] == '/');
}

int pattern_match(const struct pattern *p, const char *text, size_t len)
{
	switch (p->kind) {
	case PATTERN_EXACT:
		return len == p->text_len && (len == 0 || memcmp(text, p->text, len) == 0);
	case PATTERN_PREFIX:
		return path_has_prefix(p, text, len);
	case PATTERN_SUFFIX:
		return len > p->text_len && memcmp(text + len - p->text_len, p->text, p->text_len) == 0;
	case PATTERN_REGEX:
		return regex_match(p->regex, text, len);
	}
	return 0;
}

/* --- what names a client --- */

/* "cookie:NAME": the words before the colon, and whether a name follows. */
struct source_word {
	const char *word;
	int kind;
	bool has_name;
};

static bool source_parse(struct value_input *in, const struct source_word *words, const char *all, int *kind,
			 char **name)
{
	size_t len = strcspn(in->text, ":");

	for (; words->word != NULL; words++) {
		const char *rest = in->text + len;

		if (strlen(words->word) != len || strncmp(words->word, in->text, len) != 0)
			continue;
		if (!words->has_name && *rest != '\0')
			return value_refuse(in, "\"%.80s\": nothing follows \"%s\"", in->text, words->word);
		if (words->has_name && (*rest == '\0' || rest[1] == '\0'))
			return value_refuse(in, "\"%.80s\" lacks its name: write %s:NAME", in->text,
					    words->word);
		*kind = words->kind;
		*name = words->has_name ? config_memory_text(in->memory, rest + 1, strlen(rest + 1)) : NULL;
		return true;
	}
	return value_refuse(in, "\"%.80s\" is not known: write %s", in->text, all);
}

static void source_print(FILE *out, const struct source_word *words, int kind, const char *name)
{
	for (; words->word != NULL; words++)
		if (words->kind == kind)
			value_print_prefixed(out, words->word, name == NULL ? "" : ":",
					     name == NULL ? "" : name);
}

static const struct source_word request_key_words[] = {
	{ "ip", REQUEST_KEY_IP, false },
	{ "uri", REQUEST_KEY_URI, false },
	{ "header", REQUEST_KEY_HEADER, true },
	{ "cookie", REQUEST_KEY_COOKIE, true },
	{ "query", REQUEST_KEY_QUERY, true },
	{ "claim", REQUEST_KEY_CLAIM, true },
	{ NULL, 0, false },
};

static bool parse_request_key(struct value_input *in, void *out)
{
	struct request_key *k = out;
	int kind;

	if (!source_parse(in, request_key_words,
			  "ip, uri, header:NAME, cookie:NAME, query:NAME or claim:NAME", &kind, &k->name))
		return false;
	k->kind = (enum request_key_kind)kind;
	return true;
}

static void print_request_key(FILE *out, const struct key *row, const void *value)
{
	const struct request_key *k = value;

	(void)row;
	source_print(out, request_key_words, (int)k->kind, k->name);
}

static bool request_key_is_set(const void *value)
{
	return ((const struct request_key *)value)->kind != REQUEST_KEY_NONE;
}

const struct value_type type_request_key = {
	.name = "request key",
	.size = sizeof(struct request_key),
	.parse = parse_request_key,
	.print = print_request_key,
	.is_set = request_key_is_set,
	.schema = value_schema_string,
};

static const struct source_word token_source_words[] = {
	{ "header", TOKEN_FROM_HEADER, false },
	{ "cookie", TOKEN_FROM_COOKIE, true },
	{ "query", TOKEN_FROM_QUERY, true },
	{ "subprotocol", TOKEN_FROM_SUBPROTOCOL, false },
	{ NULL, 0, false },
};

static bool parse_token_source(struct value_input *in, void *out)
{
	struct token_source *s = out;
	int kind;

	if (!source_parse(in, token_source_words, "header, cookie:NAME, query:NAME or subprotocol", &kind,
			  &s->name))
		return false;
	s->kind = (enum token_source_kind)kind;
	return true;
}

static void print_token_source(FILE *out, const struct key *row, const void *value)
{
	const struct token_source *s = value;

	(void)row;
	source_print(out, token_source_words, (int)s->kind, s->name);
}

const struct value_type type_token_source = {
	.name = "token source",
	.size = sizeof(struct token_source),
	.parse = parse_token_source,
	.print = print_token_source,
	.schema = value_schema_string,
};

/* --- templates --- */

static const struct {
	const char *name;
	enum variable variable;
} variables[] = {
	{ "remote_addr", VARIABLE_REMOTE_ADDR }, { "host", VARIABLE_HOST },
	{ "request_id", VARIABLE_REQUEST_ID },	 { "request_uri", VARIABLE_REQUEST_URI },
	{ "scheme", VARIABLE_SCHEME },		 { "trace_id", VARIABLE_TRACE_ID },
};

static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The variable at `p`, behind its "$": gives its length, or 0 for an unknown one. */
static size_t variable_read(const char *p, struct template_part *part, struct config_memory *memory)
{
	size_t len = 0;

	while (is_word_byte(p[len]))
		len++;
	if (len == 5 && strncmp(p, "claim.", 6) == 0) {
		size_t name_len = 0;

		while (is_word_byte(p[6 + name_len]) || p[6 + name_len] == '-')
			name_len++;
		part->variable = VARIABLE_CLAIM;
		part->text = config_memory_text(memory, p + 6, name_len);
		part->text_len = name_len;
		return name_len == 0 ? 0 : 6 + name_len;
	}
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (strlen(variables[i].name) == len && strncmp(p, variables[i].name, len) == 0) {
			part->variable = variables[i].variable;
			return len;
		}
	return 0;
}

/* Literal text up to the next variable; "$$" is one dollar sign, and a "$" before no letter is itself. */
static size_t literal_read(const char *p, struct template_part *part, struct config_memory *memory)
{
	char *text = config_memory_text(memory, p, strlen(p));
	size_t used = 0, len = 0;

	while (text != NULL && p[used] != '\0') {
		if (p[used] == '$' && p[used + 1] == '$')
			used++;
		else if (p[used] == '$' && is_word_byte(p[used + 1]) && !isdigit((unsigned char)p[used + 1]))
			break;
		text[len++] = p[used++];
	}
	if (text != NULL)
		text[len] = '\0';
	part->variable = VARIABLE_LITERAL;
	part->text = text;
	part->text_len = len;
	return used;
}

static size_t dollars_count(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '$';
	return n;
}

static bool parse_template(struct value_input *in, void *out)
{
	struct template t = { 0 };
	const char *p = in->text;

	/* A line break in a header value would be a header of somebody else's. */
	for (const unsigned char *c = (const unsigned char *)p; *c != '\0'; c++)
		if ((*c < 0x20 && *c != '\t' && !(*c == '\n' && strcmp(in->row->name, "body") == 0)) ||
		    *c == 0x7f)
			return value_refuse(in, "control characters (such as a line break) are not allowed "
						"here");
	t.text = config_memory_text(in->memory, in->text, in->len);
	t.parts = config_memory_array(in->memory, 2 * dollars_count(p) + 1, sizeof(*t.parts));
	while (t.parts != NULL && *p != '\0') {
		struct template_part *part = &t.parts[t.parts_count];
		size_t used = literal_read(p, part, in->memory);

		t.parts_count += used > 0;
		p += used;
		if (part->text == NULL || *p != '$')
			break;
		part = &t.parts[t.parts_count++];
		used = variable_read(p + 1, part, in->memory);
		if (used == 0)
			return value_refuse(in,
					    "\"%.60s\": there is no such variable: $remote_addr, $host, "
					    "$request_id, "
					    "$request_uri, $scheme, $claim.NAME; $$ is a dollar sign",
					    p);
		p += 1 + used;
	}
	*(struct template *)out = t;
	return true;
}

static void print_template(FILE *out, const struct key *row, const void *value)
{
	const struct template *t = value;

	(void)row;
	value_print_quoted(out, t->text == NULL ? "" : t->text);
}

static bool template_is_set(const void *value)
{
	const struct template *t = value;

	return t->text != NULL && t->text[0] != '\0';
}

const struct value_type type_template = {
	.name = "text with variables",
	.size = sizeof(struct template),
	.parse = parse_template,
	.print = print_template,
	.is_set = template_is_set,
	.schema = value_schema_string,
};
