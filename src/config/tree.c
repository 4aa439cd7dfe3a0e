/* YAML as a tree with positions: libyaml's events put together, without recursion. */
#include "config/tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/list.h"

/* A sequence or mapping that is not finished; for a mapping, keys and values alternate. */
struct frame {
	struct node *node;
	struct node **list;
	size_t count, cap;
};

struct anchor {
	struct anchor *next; /* the newest first: a name may be given again */
	const char *name;
	struct node *node;
};

struct builder {
	const char *file;
	struct config_memory *memory;
	struct config_errors *errors;
	yaml_parser_t parser;
	struct frame frames[TREE_MAX_DEPTH];
	size_t depth;
	struct anchor *anchors;
	size_t anchors_count;
	size_t alias_sum;
	struct node *root;
	bool has_failed;
};

static unsigned clamp(size_t n)
{
	return n > UINT_MAX ? UINT_MAX : (unsigned)n;
}

static void fail_at(struct builder *b, yaml_mark_t mark, const char *message)
{
	config_errors_add(b->errors, b->file, clamp(mark.line + 1), clamp(mark.column + 1), false, "%s",
			  message);
	b->has_failed = true;
}

static void fail_memory(struct builder *b)
{
	config_errors_add(b->errors, b->file, 0, 0, false, "out of memory: the configuration is too large");
	b->has_failed = true;
}

/* --- positions and text --- */

bool utf8_check(const char *text, size_t len, size_t *offset)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		unsigned c = p[i], min, value;
		size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		size_t k;

		*offset = i;
		if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || len - i <= more)
			return false;
		min = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0;
		value = more == 0 ? c : c & (0x3fu >> more);
		for (k = 1; k <= more; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			value = value << 6 | (p[i + k] & 0x3f);
		}
		if (value < min || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
			return false;
		i += more + 1;
	}
	return true;
}

/* Line and column (in characters) of a byte, both from 0. */
static yaml_mark_t mark_of_offset(const char *bytes, size_t len, size_t offset)
{
	yaml_mark_t m = { 0 };

	for (size_t i = 0; i < offset && i < len; i++) {
		if (bytes[i] == '\n') {
			m.line++;
			m.column = 0;
		} else if (((unsigned char)bytes[i] & 0xc0) != 0x80) {
			m.column++;
		}
	}
	m.index = offset;
	return m;
}

/* What libyaml says of the commonest slips is true and no help. */
static const char *hint_of(const yaml_parser_t *p)
{
	const char *context = p->context == NULL ? "" : p->context;
	const char *problem = p->problem == NULL ? "" : p->problem;

	if (strstr(context, "alias") != NULL)
		return ": a value that begins with * must be quoted, \"*.example.com\"";
	if (strstr(problem, "cannot start any token") != NULL)
		return ": indent with spaces, not tabs, and quote values that begin with @, ` or %";
	if (strstr(problem, "mapping values are not allowed") != NULL)
		return ": check the indentation, and quote values that hold \": \"";
	if (strstr(problem, "did not find expected") != NULL)
		return ": check the indentation, that brackets and quotes are closed, and that ${NAME} "
		       "inside brackets is "
		       "quoted";
	return "";
}

static void fail_syntax(struct builder *b, const char *bytes, size_t len)
{
	yaml_parser_t *p = &b->parser;
	yaml_mark_t mark = p->problem_mark;
	char message[384];

	if (p->error == YAML_MEMORY_ERROR) {
		fail_memory(b);
		return;
	}
	if (p->error == YAML_READER_ERROR)
		mark = mark_of_offset(bytes, len, p->problem_offset);
	snprintf(message, sizeof(message), "YAML: %s%s%s%s",
		 p->problem == NULL ? "not understood" : p->problem, p->context == NULL ? "" : " ",
		 p->context == NULL ? "" : p->context, hint_of(p));
	fail_at(b, mark, message);
}

/* --- nodes --- */

static struct node *node_new(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
	struct node *n = config_memory_alloc(b->memory, sizeof(*n));

	if (n == NULL) {
		fail_memory(b);
		return NULL;
	}
	n->kind = kind;
	n->line = clamp(mark.line + 1);
	n->column = clamp(mark.column + 1);
	n->weight = 1;
	return n;
}

static void anchor_add(struct builder *b, const yaml_char_t *name, struct node *n, yaml_mark_t mark)
{
	struct anchor *a;

	if (name == NULL)
		return;
	if (++b->anchors_count > TREE_MAX_ANCHORS) {
		fail_at(b, mark, "too many anchors: at most 1000 in one file");
		return;
	}
	a = config_memory_alloc(b->memory, sizeof(*a));
	if (a != NULL)
		a->name = config_memory_text(b->memory, (const char *)name, strlen((const char *)name));
	if (a == NULL || a->name == NULL) {
		fail_memory(b);
		return;
	}
	a->node = n;
	a->next = b->anchors;
	b->anchors = a;
}

/* Puts a finished or begun node where the document is now. */
static void node_place(struct builder *b, struct node *n, yaml_mark_t mark)
{
	struct frame *f;

	if (b->depth == 0) {
		b->root = n;
		return;
	}
	f = &b->frames[b->depth - 1];
	if (f->node->kind == NODE_MAPPING && f->count % 2 == 0 && n->kind != NODE_SCALAR) {
		fail_at(b, mark, "a key must be a single word, not a list or mapping");
		return;
	}
	if (f->count == f->cap) {
		size_t cap = f->cap == 0 ? 16 : f->cap * 2;
		struct node **list = realloc(f->list, cap * sizeof(struct node *));

		if (list == NULL) {
			fail_memory(b);
			return;
		}
		f->list = list;
		f->cap = cap;
	}
	f->list[f->count++] = n;
}

static void on_scalar(struct builder *b, const yaml_event_t *e)
{
	struct node *n = node_new(b, NODE_SCALAR, e->start_mark);

	if (n == NULL)
		return;
	if (memchr(e->data.scalar.value, '\0', e->data.scalar.length) != NULL) {
		fail_at(b, e->start_mark, "a value holds a NUL byte");
		return;
	}
	n->text = config_memory_text(b->memory, (const char *)e->data.scalar.value, e->data.scalar.length);
	if (n->text == NULL) {
		fail_memory(b);
		return;
	}
	n->text_len = e->data.scalar.length;
	n->is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->is_complete = true;
	anchor_add(b, e->data.scalar.anchor, n, e->start_mark);
	node_place(b, n, e->start_mark);
}

static void on_alias(struct builder *b, const yaml_event_t *e)
{
	const char *name = (const char *)e->data.alias.anchor;
	char message[192];

	for (struct anchor *a = b->anchors; a != NULL; a = a->next) {
		if (strcmp(a->name, name) != 0)
			continue;
		b->alias_sum += a->node->weight;
		if (!a->node->is_complete)
			fail_at(b, e->start_mark, "an alias stands inside what it names: it would never end");
		else if (b->alias_sum > TREE_MAX_ALIAS_SUM)
			fail_at(b, e->start_mark, "aliases unfold to more than 200000 values: write fewer");
		else
			node_place(b, a->node, e->start_mark);
		return;
	}
	snprintf(message, sizeof(message), "alias \"*%.100s\" names no anchor: define it before, as &%.20s",
		 name, name);
	fail_at(b, e->start_mark, message);
}

static void on_begin(struct builder *b, enum node_kind kind, const yaml_char_t *anchor, yaml_mark_t mark)
{
	struct node *n;

	if (b->depth == TREE_MAX_DEPTH) {
		fail_at(b, mark, "nested too deep: at most 64 levels");
		return;
	}
	n = node_new(b, kind, mark);
	if (n == NULL)
		return;
	anchor_add(b, anchor, n, mark);
	node_place(b, n, mark);
	b->frames[b->depth++] = (struct frame){ .node = n };
}

/* --- mappings --- */

static int entry_compare(const void *a, const void *b)
{
	const struct node *x = (*(struct node_entry *const *)a)->key;
	const struct node *y = (*(struct node_entry *const *)b)->key;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

/* The same key twice: peers take the last, and nobody notices.  Here it is an error, and the first stays, so
 * that everybody who looks for the key finds the same one. */
static void duplicates_refuse(struct builder *b, struct node *n)
{
	struct node_entry **sorted = calloc(n->count, sizeof(*sorted));
	size_t kept = 0;

	if (sorted == NULL) {
		fail_memory(b);
		return;
	}
	for (size_t i = 0; i < n->count; i++)
		sorted[i] = &n->entries[i];
	qsort(sorted, n->count, sizeof(*sorted), entry_compare);
	for (size_t i = 1, first = 0; i < n->count; i++) {
		const struct node *again = sorted[i]->key;

		if (strcmp(sorted[first]->key->text, again->text) != 0) {
			first = i;
			continue;
		}
		config_errors_add(b->errors, b->file, again->line, again->column, false,
				  "key \"%s\" is given twice: it stands on line %u already", again->text,
				  sorted[first]->key->line);
		sorted[i]->value = NULL;
	}
	free(sorted);
	for (size_t i = 0; i < n->count; i++)
		if (n->entries[i].value != NULL)
			n->entries[kept++] = n->entries[i];
	n->count = kept;
}

static bool is_merge(const struct node_entry *e)
{
	return e->key->is_plain && strcmp(e->key->text, "<<") == 0;
}

/* Adds what `from` has and `to` (with room for it) has not. */
static void entries_merge(struct node *to, const struct node *from)
{
	for (size_t i = 0; i < from->count; i++)
		if (node_get(to, from->entries[i].key->text) == NULL) {
			to->entries[to->count++] = from->entries[i];
			to->weight += from->entries[i].value->weight + 1;
		}
}

/* "<<: *name" or "<<: [*a, *b]": the keys of other mappings, where this one is silent. */
static void mapping_merge(struct builder *b, struct node *n)
{
	struct node *sources = NULL;
	struct node_entry *entries;
	size_t room = n->count, kept = 0;

	for (size_t i = 0; i < n->count; i++)
		if (is_merge(&n->entries[i]))
			sources = n->entries[i].value;
	if (sources == NULL)
		return;
	for (size_t i = 0; node_at(sources, i) != NULL; i++) {
		const struct node *from = node_at(sources, i);

		room += from->kind == NODE_MAPPING ? from->count : 0;
		if (from->kind != NODE_MAPPING || room - n->count > TREE_MAX_MERGED) {
			config_errors_add(b->errors, b->file, from->line, from->column, false,
					  "\"<<\" merges mappings, of 1000 keys together at most");
			return;
		}
	}
	entries = config_memory_array(b->memory, room, sizeof(*entries));
	if (entries == NULL) {
		fail_memory(b);
		return;
	}
	for (size_t i = 0; i < n->count; i++)
		if (!is_merge(&n->entries[i]))
			entries[kept++] = n->entries[i];
	n->entries = entries;
	n->count = kept;
	for (size_t i = 0; node_at(sources, i) != NULL; i++)
		entries_merge(n, node_at(sources, i));
}

static void on_end(struct builder *b)
{
	struct frame *f = &b->frames[--b->depth];
	struct node *n = f->node;

	for (size_t i = 0; i < f->count; i++)
		n->weight += f->list[i]->weight;
	if (n->kind == NODE_SEQUENCE) {
		n->count = f->count;
		n->items = config_memory_array(b->memory, f->count, sizeof(*n->items));
		if (n->items != NULL && f->count > 0)
			memcpy(n->items, f->list, f->count * sizeof(*n->items));
	} else {
		n->count = f->count / 2;
		n->entries = config_memory_array(b->memory, n->count, sizeof(*n->entries));
		for (size_t i = 0; n->entries != NULL && i < n->count; i++)
			n->entries[i] = (struct node_entry){ f->list[2 * i], f->list[2 * i + 1] };
	}
	free(f->list);
	f->list = NULL;
	if (config_memory_has_failed(b->memory)) {
		fail_memory(b);
		return;
	}
	if (n->kind == NODE_MAPPING && n->count > 0) {
		duplicates_refuse(b, n);
		mapping_merge(b, n);
	}
	n->is_complete = true;
}

/* --- the document --- */

static bool tag_is_plain(const yaml_char_t *tag)
{
	return tag == NULL || strcmp((const char *)tag, "!") == 0 ||
	       strncmp((const char *)tag, "tag:yaml.org,2002:", 18) == 0;
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
	const yaml_char_t *tag = NULL;

	if (e->type == YAML_SCALAR_EVENT)
		tag = e->data.scalar.tag;
	else if (e->type == YAML_SEQUENCE_START_EVENT)
		tag = e->data.sequence_start.tag;
	else if (e->type == YAML_MAPPING_START_EVENT)
		tag = e->data.mapping_start.tag;
	if (!tag_is_plain(tag)) {
		fail_at(b, e->start_mark, "YAML tags mean nothing here: leave out the word after !");
		return;
	}
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		on_scalar(b, e);
		break;
	case YAML_ALIAS_EVENT:
		on_alias(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_begin(b, NODE_SEQUENCE, e->data.sequence_start.anchor, e->start_mark);
		break;
	case YAML_MAPPING_START_EVENT:
		on_begin(b, NODE_MAPPING, e->data.mapping_start.anchor, e->start_mark);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(b);
		break;
	case YAML_DOCUMENT_START_EVENT:
		if (b->root != NULL)
			fail_at(b, e->start_mark, "a second document: a configuration is one");
		break;
	default:
		break;
	}
}

static void events_read(struct builder *b, const char *bytes, size_t len)
{
	bool is_over = false;

	while (!is_over && !b->has_failed) {
		yaml_event_t event;

		if (!yaml_parser_parse(&b->parser, &event)) {
			fail_syntax(b, bytes, len);
			return;
		}
		is_over = event.type == YAML_STREAM_END_EVENT;
		on_event(b, &event);
		yaml_event_delete(&event);
	}
}

static bool bytes_are_text(struct builder *b, const char *bytes, size_t len)
{
	size_t offset;

	if (len > TREE_MAX_BYTES) {
		config_errors_add(b->errors, b->file, 0, 0, false, "larger than 16 MiB: not a configuration");
		return false;
	}
	if (!utf8_check(bytes, len, &offset)) {
		fail_at(b, mark_of_offset(bytes, len, offset), "not UTF-8: save the file in that encoding");
		return false;
	}
	return true;
}

struct node *tree_parse(const char *file, const char *bytes, size_t len, struct config_memory *memory,
			struct config_errors *errors)
{
	struct builder *b = calloc(1, sizeof(*b));
	struct node *root = NULL;

	if (b == NULL || !yaml_parser_initialize(&b->parser)) {
		free(b);
		config_errors_add(errors, file, 0, 0, false, "out of memory");
		return NULL;
	}
	b->file = file;
	b->memory = memory;
	b->errors = errors;
	yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING); /* else two bytes could announce UTF-16 */
	yaml_parser_set_input_string(&b->parser, (const unsigned char *)bytes, len);
	if (bytes_are_text(b, bytes, len))
		events_read(b, bytes, len);
	if (!b->has_failed && b->root == NULL && errors->errors_count == 0)
		config_errors_add(errors, file, 0, 0, false,
				  "the file is empty: at the least it needs `listeners:` and `clusters:`");
	if (!b->has_failed)
		root = b->root;
	for (size_t i = 0; i < ARRAY_LEN(b->frames); i++)
		free(b->frames[i].list);
	yaml_parser_delete(&b->parser);
	free(b);
	return root;
}

/* --- reading it --- */

struct node *node_get(const struct node *n, const char *key)
{
	if (n == NULL || n->kind != NODE_MAPPING)
		return NULL;
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->entries[i].key->text, key) == 0)
			return n->entries[i].value;
	return NULL;
}

struct node *node_at(struct node *n, size_t index)
{
	if (n == NULL)
		return NULL;
	if (n->kind == NODE_SEQUENCE)
		return index < n->count ? n->items[index] : NULL;
	return index == 0 ? n : NULL;
}

bool node_is_null(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->is_plain &&
	       (n->text_len == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

const char *node_kind_text(const struct node *n)
{
	return n->kind == NODE_MAPPING ? "a mapping" : n->kind == NODE_SEQUENCE ? "a list" : "a single value";
}
