/* Regular expressions by PCRE2 with JIT.
 *
 * A pattern is compiled once and is read-only from then on; match data and the match context are the thread's
 * own, made at its first match and freed when it ends.  Subjects are bytes, not UTF-8.  Where the JIT is not
 * to be had (hardened kernels refuse writable code), PCRE2 interprets, with the same limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	GROUPS_MAX = 10,      /* $0..$9 */
	MATCH_LIMIT = 100000, /* steps back: about a millisecond */
	DEPTH_LIMIT = 1000,   /* nested ones, interpreted */
	HEAP_LIMIT_KIB = 1024 /* what one interpreted match may allocate */
};

struct regex {
	pcre2_code *code;
};

struct scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	unsigned group_count; /* that the last match has set, $0 counted */
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;
static bool has_scratch_key;

static void scratch_free(void *arg)
{
	struct scratch *s = arg;

	if (s == NULL)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	free(s);
}

/* The main thread runs no thread destructors when it returns from main. */
static void scratch_free_main(void)
{
	scratch_free(pthread_getspecific(scratch_key));
	pthread_setspecific(scratch_key, NULL);
}

static void scratch_key_make(void)
{
	has_scratch_key = pthread_key_create(&scratch_key, scratch_free) == 0;
	if (has_scratch_key)
		atexit(scratch_free_main);
}

/* This thread's, or NULL when memory is out. */
static struct scratch *scratch_get(void)
{
	struct scratch *s;

	pthread_once(&scratch_once, scratch_key_make);
	if (!has_scratch_key)
		return NULL;
	s = pthread_getspecific(scratch_key);
	if (s != NULL)
		return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->data = pcre2_match_data_create(GROUPS_MAX, NULL);
	s->context = pcre2_match_context_create(NULL);
	if (s->data == NULL || s->context == NULL || pthread_setspecific(scratch_key, s) != 0) {
		scratch_free(s);
		return NULL;
	}
	pcre2_set_match_limit(s->context, MATCH_LIMIT);
	pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
	pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	return s;
}

struct regex *regex_new(const char *pattern, char *error, size_t error_len, size_t *offset)
{
	struct regex *r = calloc(1, sizeof(*r));
	int code = 0;
	PCRE2_SIZE at = 0;

	if (r == NULL) {
		snprintf(error, error_len, "out of memory");
		*offset = 0;
		return NULL;
	}
	/* `$` is the end, not before a last newline: a rule that says "\.js$" means it. */
	r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_DOLLAR_ENDONLY, &code, &at,
				NULL);
	if (r->code == NULL) {
		if (error_len > 0 && pcre2_get_error_message(code, (PCRE2_UCHAR *)error, error_len) < 0)
			error[error_len - 1] = '\0';
		*offset = at;
		free(r);
		return NULL;
	}
	(void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
	return r;
}

void regex_free(struct regex *r)
{
	if (r == NULL)
		return;
	pcre2_code_free(r->code);
	free(r);
}

/* A match with its groups in scratch->data. */
static int match(const struct regex *r, const char *subject, size_t len, struct scratch **scratch)
{
	struct scratch *s = scratch_get();
	int got;

	if (s == NULL)
		return REGEX_LIMIT;
	*scratch = s;
	got = pcre2_match(r->code, (PCRE2_SPTR)(subject != NULL ? subject : ""), len, 0, 0, s->data,
			  s->context);
	if (got == PCRE2_ERROR_NOMATCH)
		return REGEX_NO_MATCH;
	if (got < 0)
		return REGEX_LIMIT;
	s->group_count = got > 0 ? (unsigned)got : GROUPS_MAX; /* 0: more groups than we keep */
	return REGEX_MATCH;
}

int regex_match(const struct regex *r, const char *subject, size_t len)
{
	struct scratch *s;

	return match(r, subject, len, &s);
}

/* Appends, or says that it does not fit. */
static bool append(char *out, size_t cap, size_t *used, const char *text, size_t len)
{
	if (len > cap - *used)
		return false;
	if (len > 0)
		memcpy(out + *used, text, len);
	*used += len;
	return true;
}

/* The text of a group; empty where it took no part or does not exist. */
static size_t group_get(const struct scratch *s, unsigned group, const char *subject, const char **text)
{
	const PCRE2_SIZE *ovector = pcre2_get_ovector_pointer(s->data);
	PCRE2_SIZE from, to;

	*text = "";
	if (group >= s->group_count)
		return 0; /* the offsets there are another pattern's */
	from = ovector[2 * group];
	to = ovector[2 * group + 1];
	/* \K inside a lookahead can put the start behind the end. */
	if (from == PCRE2_UNSET || to == PCRE2_UNSET || to <= from)
		return 0;
	*text = subject + from;
	return to - from;
}

long regex_replace(const struct regex *r, const char *subject, size_t len, const char *replacement, char *out,
		   size_t out_cap)
{
	struct scratch *s = NULL;
	size_t used = 0;
	int got = match(r, subject, len, &s);

	if (got != REGEX_MATCH)
		return got;
	for (const char *p = replacement; *p != '\0'; p++) {
		const char *text = p;
		size_t text_len = 1;

		if (p[0] == '$' && p[1] >= '0' && p[1] <= '9') {
			text_len = group_get(s, (unsigned)(p[1] - '0'), subject, &text);
			p++;
		} else if (p[0] == '$' && p[1] == '$') {
			p++;
		}
		if (!append(out, out_cap, &used, text, text_len))
			return -1;
	}
	return (long)used;
}
