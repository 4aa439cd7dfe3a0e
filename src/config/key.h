/* A configuration key is a row.
 *
 * One table per mapping of the file, written with the macros below, which refuse a field of the wrong type at
 * compile time.  Reading, -T, the JSON schema, the manual and "did you mean" all go by these rows and know no
 * key themselves. To let a key take effect, take KEY_LATER off its row. */
#ifndef CONFIG_KEY_H
#define CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "config/memory.h"

struct key;

/* One word of a closed set. */
struct key_word {
	const char *word;
	uint32_t value;
	bool is_later; /* accepted, not yet in effect */
};

/* What a type reads: borrowed text, and where to say what is wrong with it. */
struct value_input {
	struct config_memory *memory;
	const struct key *row;
	const char *text; /* environment already in it */
	size_t len;
	bool is_later;	 /* set by the type: this value is accepted, not yet in effect */
	char error[384]; /* a clause about the value: what is wrong, what to write */
};

/* A type of single values.  Stateless and static. */
struct value_type {
	const char *name; /* in the manual: "duration" */
	size_t size;	  /* of the field */
	bool (*parse)(struct value_input *in, void *out);
	/* Writes a YAML scalar that parses to the same value. */
	void (*print)(FILE *out, const struct key *row, const void *value);
	bool (*is_set)(const void *value);   /* NULL: always; what is not set is not printed */
	double (*number)(const void *value); /* NULL where .min and .max mean nothing */
	/* Writes a JSON Schema object for one value. */
	void (*schema)(FILE *out, const struct key *row);
	bool is_bare; /* a number or boolean in JSON, not a string */
};

enum key_shape {
	KEY_VALUE,    /* one value */
	KEY_LIST,     /* pointer and count of values; one value alone is a list of one */
	KEY_FLAGS,    /* a set of words, as bits; one word alone is a set of one */
	KEY_SECTION,  /* a mapping, embedded: always there */
	KEY_OPTIONAL, /* a mapping behind a pointer: NULL when absent */
	KEY_ITEMS,    /* pointer and count of mappings */
	KEY_MAP,      /* pointer and count of structs that open with `char *name`: names are the user's */
};

enum {
	KEY_REQUIRED = 1 << 0,
	KEY_LATER = 1 << 1,	 /* accepted, with a warning that it is not yet in effect */
	KEY_NOT_ZERO = 1 << 2,	 /* 0 is not "none" here */
	KEY_CAN_BE_OFF = 1 << 3, /* an optional mapping may be "off", or "on" for all defaults */
	KEY_IS_ON = 1 << 4,	 /* an optional mapping that is there, with its defaults, unless "off" */
};

struct key {
	const char *name;
	const char *doc; /* sentences for the manual and editors */
	enum key_shape shape;
	unsigned flags;
	const struct value_type *type; /* of values, list items, map values' rows */
	size_t offset, count_offset;
	size_t item_size;	/* of the struct behind a mapping's key, and of an item of KEY_LIST */
	const struct key *keys; /* the mapping's; for KEY_MAP the one row of its values */
	const struct value_type *name_type; /* KEY_MAP: what its names must be; they are `char *` */
	const struct key_word *words;	    /* enums and flags; ended by a row without word */
	const char *def; /* as it would stand in the file; lists with ", " between; NULL: absent */
	const char *min,
		*max; /* of numbers, as they would stand in the file; 0 passes without KEY_NOT_ZERO */
	const char *scalar_key; /* KEY_ITEMS: a single value stands for a mapping with only this key */
	size_t place_offset; /* KEY_ITEMS: of the struct config_place in an item; 0: it has none */
	const char *item_word;	/* KEY_ITEMS, KEY_MAP: "cluster", for messages */
	bool (*applies)(const void *base); /* NULL: always; whether the key has a meaning beside the others of
					      its mapping */
	const char *otherwise; /* what to say of it where it has none: "is for protocol tcp: ..." */
};

#define FIELD_OF(s, f)	       (((struct s *)NULL)->f)
#define FIELD_IS(s, f, T)      __builtin_types_compatible_p(__typeof__(FIELD_OF(s, f)), T)
#define FIELD_REFUSE_UNLESS(c) (0 * sizeof(char[(c) ? 1 : -1]))
#define FIELD_AT(s, f, T)      (offsetof(struct s, f) + FIELD_REFUSE_UNLESS(FIELD_IS(s, f, T)))

/* One value of type `t`, field `f` of C type `T`, under the key `n`. */
#define KEY_ROW(s, n, f, T, t, ...)                                                                   \
	{                                                                                             \
		.name = n, .shape = KEY_VALUE, .offset = FIELD_AT(s, f, T), .type = &(t), __VA_ARGS__ \
	}

#define SWITCH(s, f, ...)      KEY_ROW(s, #f, f, bool, type_bool, __VA_ARGS__)
#define UINT(s, f, ...)	       KEY_ROW(s, #f, f, uint32_t, type_uint, __VA_ARGS__)
#define DURATION(s, f, ...)    KEY_ROW(s, #f, f##_ms, uint64_t, type_duration, __VA_ARGS__)
#define SIZE(s, f, ...)	       KEY_ROW(s, #f, f##_bytes, uint64_t, type_size, __VA_ARGS__)
#define RATE(s, f, ...)	       KEY_ROW(s, #f, f##_per_s, double, type_rate, __VA_ARGS__)
#define BYTE_RATE(s, f, ...)   KEY_ROW(s, #f, f##_per_s, double, type_byte_rate, __VA_ARGS__)
#define PERCENT(s, f, ...)     KEY_ROW(s, #f, f##_percent, double, type_percent, __VA_ARGS__)
#define FACTOR(s, f, ...)      KEY_ROW(s, #f, f, double, type_decimal, __VA_ARGS__)
#define STRING(s, f, ...)      KEY_ROW(s, #f, f, char *, type_string, __VA_ARGS__)
#define READABLE(s, f, ...)    KEY_ROW(s, #f, f, char *, type_file, __VA_ARGS__)
#define TEXT(s, f, t, ...)     KEY_ROW(s, #f, f, char *, t, __VA_ARGS__)
#define VALUE(s, f, T, t, ...) KEY_ROW(s, #f, f, T, t, __VA_ARGS__)
#define ENUM(s, f, e, w, ...)                                                                            \
	{                                                                                                \
		.name = #f, .shape = KEY_VALUE, .type = &type_enum, .words = (w),                        \
		.offset = FIELD_AT(s, f, enum e) + FIELD_REFUSE_UNLESS(sizeof(enum e) == 4), __VA_ARGS__ \
	}
#define FLAGS(s, f, w, ...)                                                       \
	{                                                                         \
		.name = #f, .shape = KEY_FLAGS, .type = &type_enum, .words = (w), \
		.offset = FIELD_AT(s, f, uint32_t), __VA_ARGS__                   \
	}
#define LIST(s, f, T, t, ...)                                                                              \
	{                                                                                                  \
		.name = #f, .shape = KEY_LIST, .type = &(t), .item_size = sizeof(T),                       \
		.offset = FIELD_AT(s, f, T *), .count_offset = FIELD_AT(s, f##_count, size_t), __VA_ARGS__ \
	}
#define SECTION(s, f, inner, k, ...)                                                              \
	{                                                                                         \
		.name = #f, .shape = KEY_SECTION, .keys = (k), .item_size = sizeof(struct inner), \
		.offset = FIELD_AT(s, f, struct inner), __VA_ARGS__                               \
	}
#define OPTIONAL(s, f, inner, k, ...)                                                              \
	{                                                                                          \
		.name = #f, .shape = KEY_OPTIONAL, .keys = (k), .item_size = sizeof(struct inner), \
		.offset = FIELD_AT(s, f, struct inner *), __VA_ARGS__                              \
	}
#define ITEMS(s, f, inner, k, ...)                                                                        \
	{                                                                                                 \
		.name = #f, .shape = KEY_ITEMS, .keys = (k), .item_size = sizeof(struct inner),           \
		.offset = FIELD_AT(s, f, struct inner *), .count_offset = FIELD_AT(s, f##_count, size_t), \
		__VA_ARGS__                                                                               \
	}
#define MAP(s, f, inner, nt, k, ...)                                                          \
	{                                                                                     \
		.name = #f, .shape = KEY_MAP, .keys = (k), .item_size = sizeof(struct inner), \
		.name_type = &(nt),                                                           \
		.offset = FIELD_AT(s, f, struct inner *) +                                    \
			  FIELD_REFUSE_UNLESS(offsetof(struct inner, name) == 0),             \
		.count_offset = FIELD_AT(s, f##_count, size_t), __VA_ARGS__                   \
	}

#endif
