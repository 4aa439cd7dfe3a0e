/* The types of single values: numbers, switches and words. */
#include "config/values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/list.h"
#include "config/suggest.h"
#include "config/units.h"

bool value_refuse(struct value_input *in, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(in->error, sizeof(in->error), format, args);
	va_end(args);
	return false;
}

/* One way of saying it for every number with a unit. */
static bool refuse_units(struct value_input *in, enum units_error error, const char *noun,
			 const char *examples)
{
	static const char *const faults[] = {
		[UNITS_NOT_A_NUMBER] = "is not",
		[UNITS_NO_UNIT] = "has no unit; this is",
		[UNITS_UNKNOWN_UNIT] = "has an unknown unit; this is",
		[UNITS_TOO_LARGE] = "is too large for",
	};

	if (error == UNITS_OK)
		return true;
	return value_refuse(in, "\"%.80s\" %s a %s: write %s", in->text, faults[error], noun, examples);
}

/* --- switches and integers --- */

static bool parse_bool(struct value_input *in, void *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "true", true }, { "false", false }, { "on", true },
		{ "off", false }, { "yes", true },    { "no", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(in->text, words[i].word) == 0) {
			*(bool *)out = words[i].value;
			return true;
		}
	return value_refuse(in, "\"%.80s\" is not a switch: write true or false", in->text);
}

static void print_bool(FILE *out, const struct key *row, const void *value)
{
	(void)row;
	fputs(*(const bool *)value ? "true" : "false", out);
}

static void schema_bool(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/switch\"}", out);
}

const struct value_type type_bool = {
	.name = "switch",
	.size = sizeof(bool),
	.parse = parse_bool,
	.print = print_bool,
	.schema = schema_bool,
	.is_bare = true,
};

static bool parse_uint(struct value_input *in, void *out)
{
	uint64_t value;
	enum units_error error = units_parse_uint(in->text, UINT32_MAX, &value);

	if (error == UNITS_TOO_LARGE)
		return value_refuse(in, "%.80s is too large: at most %s", in->text,
				    in->row->max != NULL ? in->row->max : "4294967295");
	if (error != UNITS_OK)
		return value_refuse(in, "\"%.80s\" is not a whole number: write digits only", in->text);
	*(uint32_t *)out = (uint32_t)value;
	return true;
}

static void print_uint(FILE *out, const struct key *row, const void *value)
{
	(void)row;
	fprintf(out, "%" PRIu32, *(const uint32_t *)value);
}

static double number_uint(const void *value)
{
	return *(const uint32_t *)value;
}

static void schema_uint(FILE *out, const struct key *row)
{
	bool has_zero = row->min == NULL || !(row->flags & KEY_NOT_ZERO);

	fprintf(out,
		"{\"anyOf\": [{\"type\": \"integer\", \"minimum\": %s, \"maximum\": %s}, "
		"{\"$ref\": \"#/$defs/environment\"}]}",
		has_zero ? "0" : row->min, row->max != NULL ? row->max : "4294967295");
}

const struct value_type type_uint = {
	.name = "number",
	.size = sizeof(uint32_t),
	.parse = parse_uint,
	.print = print_uint,
	.number = number_uint,
	.schema = schema_uint,
	.is_bare = true,
};

static bool parse_workers(struct value_input *in, void *out)
{
	if (strcmp(in->text, "auto") == 0) {
		*(uint32_t *)out = 0;
		return true;
	}
	if (!parse_uint(in, out))
		return value_refuse(in, "\"%.80s\" is no number of threads: write auto or 1 to %s", in->text,
				    in->row->max);
	if (*(uint32_t *)out == 0)
		return value_refuse(in, "0 threads do nothing: write auto or 1 to %s", in->row->max);
	return true;
}

static void print_workers(FILE *out, const struct key *row, const void *value)
{
	if (*(const uint32_t *)value == 0)
		fputs("auto", out);
	else
		print_uint(out, row, value);
}

static void schema_workers(FILE *out, const struct key *row)
{
	fprintf(out,
		"{\"anyOf\": [{\"const\": \"auto\"}, {\"type\": \"integer\", \"minimum\": 1, \"maximum\": "
		"%s}, "
		"{\"$ref\": \"#/$defs/environment\"}]}",
		row->max);
}

const struct value_type type_workers = {
	.name = "auto or number",
	.size = sizeof(uint32_t),
	.parse = parse_workers,
	.print = print_workers,
	.number = number_uint,
	.schema = schema_workers,
};

/* --- durations and sizes --- */

static double number_u64(const void *value)
{
	return (double)*(const uint64_t *)value;
}

static double number_double(const void *value)
{
	return *(const double *)value;
}

static bool parse_duration(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_duration(in->text, out), "duration", "500ms, 30s, 5m, 1h or 1d");
}

static void print_duration(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_duration(*(const uint64_t *)value, text);
	fputs(text, out);
}

static void schema_duration(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/duration\"}", out);
}

const struct value_type type_duration = {
	.name = "duration",
	.size = sizeof(uint64_t),
	.parse = parse_duration,
	.print = print_duration,
	.number = number_u64,
	.schema = schema_duration,
};

static bool parse_size(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_size(in->text, out), "size", "512B, 64KiB, 1MiB or 1GiB");
}

static void print_size(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_size(*(const uint64_t *)value, text);
	fputs(text, out);
}

static void schema_size(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/size\"}", out);
}

const struct value_type type_size = {
	.name = "size",
	.size = sizeof(uint64_t),
	.parse = parse_size,
	.print = print_size,
	.number = number_u64,
	.schema = schema_size,
};

/* --- rates and shares --- */

static bool parse_rate(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_rate(in->text, out), "rate", "50/s, 5/m or 1/h");
}

static void print_rate(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_rate(*(const double *)value, text);
	fputs(text, out);
}

static void schema_rate(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/rate\"}", out);
}

const struct value_type type_rate = {
	.name = "rate",
	.size = sizeof(double),
	.parse = parse_rate,
	.print = print_rate,
	.number = number_double,
	.schema = schema_rate,
};

static bool parse_byte_rate(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_byte_rate(in->text, out), "rate of bytes", "64KiB/s or 1MiB/m");
}

static void print_byte_rate(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_byte_rate(*(const double *)value, text);
	fputs(text, out);
}

static void schema_byte_rate(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/byte_rate\"}", out);
}

const struct value_type type_byte_rate = {
	.name = "rate of bytes",
	.size = sizeof(double),
	.parse = parse_byte_rate,
	.print = print_byte_rate,
	.number = number_double,
	.schema = schema_byte_rate,
};

static bool parse_percent(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_percent(in->text, out), "percentage", "50% or 0.5%");
}

static void print_percent(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_percent(*(const double *)value, text);
	fputs(text, out);
}

static void schema_percent(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"$ref\": \"#/$defs/percentage\"}", out);
}

const struct value_type type_percent = {
	.name = "percentage",
	.size = sizeof(double),
	.parse = parse_percent,
	.print = print_percent,
	.number = number_double,
	.schema = schema_percent,
};

static bool parse_decimal(struct value_input *in, void *out)
{
	return refuse_units(in, units_parse_decimal(in->text, out), "decimal number", "1.25");
}

static void print_decimal(FILE *out, const struct key *row, const void *value)
{
	char text[UNITS_TEXT_MAX];

	(void)row;
	units_print_decimal(*(const double *)value, text);
	fputs(text, out);
}

static void schema_decimal(FILE *out, const struct key *row)
{
	(void)row;
	fputs("{\"anyOf\": [{\"type\": \"number\", \"minimum\": 0}, {\"$ref\": \"#/$defs/environment\"}]}",
	      out);
}

const struct value_type type_decimal = {
	.name = "decimal",
	.size = sizeof(double),
	.parse = parse_decimal,
	.print = print_decimal,
	.number = number_double,
	.schema = schema_decimal,
	.is_bare = true,
};

/* --- words --- */

void value_words_text(const struct key_word *words, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; words->word != NULL && used < size; words++) {
		const char *joint = used == 0 ? "" : words[1].word == NULL ? " or " : ", ";
		int n = snprintf(out + used, size - used, "%s%s", joint, words->word);

		used += n < 0 ? 0 : (size_t)n;
	}
}

static bool parse_enum(struct value_input *in, void *out)
{
	const struct key_word *words = in->row->words;
	/* A YAML writer that takes "off" for a boolean has made "false" of it. */
	const char *text = strcmp(in->text, "false") == 0 ? "off" : in->text;
	char all[200], hint[120];

	for (const struct key_word *w = words; w->word != NULL; w++)
		if (strcmp(w->word, text) == 0) {
			memcpy(out, &w->value, sizeof(w->value));
			in->is_later = w->is_later;
			return true;
		}
	value_words_text(words, all, sizeof(all));
	suggest_word(in->text, words, hint, sizeof(hint));
	return value_refuse(in, "\"%.80s\" is not allowed here%s: write %s", in->text, hint, all);
}

static void print_enum(FILE *out, const struct key *row, const void *value)
{
	uint32_t v;

	memcpy(&v, value, sizeof(v));
	for (const struct key_word *w = row->words; w->word != NULL; w++)
		if (w->value == v) {
			value_print_quoted(out, w->word);
			return;
		}
	fputs("\"\"", out);
}

static bool enum_is_set(const void *value)
{
	(void)value;
	return true;
}

/* To YAML, 502 and 1.2 are numbers, and to some "off" is a boolean. */
static void schema_enum(FILE *out, const struct key *row)
{
	fputs("{\"anyOf\": [{\"enum\": [", out);
	for (const struct key_word *w = row->words; w->word != NULL; w++) {
		fputs(w == row->words ? "" : ", ", out);
		value_print_json(out, w->word);
		if (strspn(w->word, "0123456789.") == strlen(w->word))
			fprintf(out, ", %s", w->word);
		else if (strcmp(w->word, "off") == 0)
			fputs(", false", out);
	}
	fputs("]}, {\"$ref\": \"#/$defs/environment\"}]}", out);
}

const struct value_type type_enum = {
	.name = "word",
	.size = sizeof(uint32_t),
	.parse = parse_enum,
	.print = print_enum,
	.is_set = enum_is_set,
	.schema = schema_enum,
};
