/* --schema: the tables of keys as JSON Schema (draft 2020-12), for editors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/values.h"

static void schema_mapping(FILE *out, const struct key *keys, unsigned indent);

static void newline(FILE *out, unsigned indent)
{
	fprintf(out, "\n%*s", (int)indent * 2, "");
}

/* A default as JSON: bare where the type is, lists in brackets. */
static void schema_default(FILE *out, const struct key *row)
{
	const char *joint = "";

	if (row->def == NULL)
		return;
	fputs(", \"default\": ", out);
	if (row->shape == KEY_VALUE) {
		if (row->type->is_bare)
			fputs(row->def, out);
		else
			value_print_json(out, row->def);
		return;
	}
	fputc('[', out);
	for (const char *p = row->def; *p != '\0'; joint = ", ") {
		char word[64];
		size_t len = strcspn(p, ",");

		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		fputs(joint, out);
		if (row->type->is_bare)
			fputs(word, out);
		else
			value_print_json(out, word);
		p += len;
		p += strspn(p, ", ");
	}
	fputc(']', out);
}

static void schema_list(FILE *out, const struct key *row)
{
	fputs("{\"anyOf\": [", out);
	row->type->schema(out, row);
	fputs(", {\"type\": \"array\", \"items\": ", out);
	row->type->schema(out, row);
	fputs("}, {\"type\": \"null\"}]}", out);
}

static void schema_off(FILE *out)
{
	fputs(", {\"enum\": [\"off\", \"on\", true, false]}", out);
}

static void schema_shape(FILE *out, const struct key *row, unsigned indent)
{
	switch (row->shape) {
	case KEY_VALUE:
		row->type->schema(out, row);
		break;
	case KEY_LIST:
	case KEY_FLAGS:
		schema_list(out, row);
		break;
	case KEY_SECTION:
	case KEY_OPTIONAL:
		fputs("{\"anyOf\": [", out);
		schema_mapping(out, row->keys, indent);
		fputs(", {\"type\": \"null\"}", out);
		if (row->flags & KEY_CAN_BE_OFF)
			schema_off(out);
		fputs("]}", out);
		break;
	case KEY_ITEMS:
		fputs("{\"type\": [\"array\", \"null\"], \"items\": {\"anyOf\": [", out);
		schema_mapping(out, row->keys, indent);
		if (row->scalar_key != NULL)
			fputs(", {\"type\": \"string\"}", out);
		fputs("]}}", out);
		break;
	case KEY_MAP:
		fputs("{\"type\": [\"object\", \"null\"], \"additionalProperties\": ", out);
		schema_shape(out, &row->keys[0], indent);
		fputc('}', out);
		break;
	}
}

static void schema_row(FILE *out, const struct key *row, unsigned indent)
{
	newline(out, indent);
	value_print_json(out, row->name);
	fputs(": {\"description\": ", out);
	value_print_json(out, row->doc);
	schema_default(out, row);
	if (row->flags & KEY_LATER)
		fputs(", \"$comment\": \"accepted, not yet in effect\"", out);
	fputs(", \"allOf\": [", out);
	schema_shape(out, row, indent);
	fputs("]}", out);
}

static void schema_required(FILE *out, const struct key *keys)
{
	const char *joint = "";

	fputs("\"required\": [", out);
	for (; keys->name != NULL; keys++)
		if (keys->flags & KEY_REQUIRED) {
			fputs(joint, out);
			value_print_json(out, keys->name);
			joint = ", ";
		}
	fputs("], ", out);
}

/* The members of a mapping's schema, without the braces around them. */
static void schema_members(FILE *out, const struct key *keys, unsigned indent)
{
	fputs("\"type\": \"object\", \"additionalProperties\": false, ", out);
	schema_required(out, keys);
	if (keys == root_keys)
		fputs("\"patternProperties\": {\"^x-\": {}}, ", out);
	fputs("\"properties\": {", out);
	for (const struct key *row = keys; row->name != NULL; row++) {
		fputs(row == keys ? "" : ",", out);
		schema_row(out, row, indent + 1);
	}
	fputs("}", out);
}

static void schema_mapping(FILE *out, const struct key *keys, unsigned indent)
{
	fputs("{", out);
	schema_members(out, keys, indent);
	fputs("}", out);
}

/* Numbers with units, and what the environment will say. */
static const char definitions[] =
	"{\n"
	"    \"environment\": {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{[A-Za-z_]\"},\n"
	"    \"switch\": {\"anyOf\": [{\"type\": \"boolean\"}, {\"enum\": [\"on\", \"off\", \"yes\", "
	"\"no\"]}, "
	"{\"$ref\": \"#/$defs/environment\"}]},\n"
	"    \"duration\": {\"anyOf\": [{\"const\": 0}, {\"type\": \"string\", "
	"\"pattern\": \"^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$\"}, "
	"{\"$ref\": \"#/$defs/environment\"}]},\n"
	"    \"size\": {\"anyOf\": [{\"const\": 0}, {\"type\": \"string\", \"pattern\": "
	"\"^(0|[0-9]+([KMGT]i)?B)$\"}, "
	"{\"$ref\": \"#/$defs/environment\"}]},\n"
	"    \"rate\": {\"anyOf\": [{\"const\": 0}, {\"type\": \"string\", \"pattern\": "
	"\"^(0|[0-9]+/[smh])$\"}, "
	"{\"$ref\": \"#/$defs/environment\"}]},\n"
	"    \"byte_rate\": {\"anyOf\": [{\"const\": 0}, {\"type\": \"string\", "
	"\"pattern\": \"^(0|[0-9]+([KMGT]i)?B/[smh])$\"}, {\"$ref\": \"#/$defs/environment\"}]},\n"
	"    \"percentage\": {\"anyOf\": [{\"const\": 0}, {\"type\": \"string\", "
	"\"pattern\": \"^(0|[0-9]+(\\\\.[0-9]+)?%)$\"}, {\"$ref\": \"#/$defs/environment\"}]}\n"
	"  }";

int config_print_schema(FILE *out)
{
	fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	      "  \"title\": \"holdfast configuration\",\n  \"$defs\": ",
	      out);
	fputs(definitions, out);
	fputs(",\n  ", out);
	schema_members(out, root_keys, 1);
	fputs("\n}\n", out);
	return ferror(out) ? -EIO : 0;
}
