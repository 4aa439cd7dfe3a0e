#include "proxy/head_edits.h"

#include "wire/http1_write.h"

#include <assert.h>

static void name_add(struct head_edits *e, const char *name)
{
	enum http_id id = http_id_of(name, strlen(name));

	if (id == HTTP_OTHER)
		e->has_other = true;
	else
		e->ids |= HTTP_BIT(id);
}

void head_edits_init(struct head_edits *e, const struct header_edits *of)
{
	*e = (struct head_edits){ .of = of };
	if (of == NULL)
		return;
	for (size_t i = 0; i < of->remove_count; i++)
		name_add(e, of->remove[i]);
	for (size_t i = 0; i < of->set_count; i++)
		name_add(e, of->set[i].name);
}

void head_edits_drop(struct head_edits *e, const struct string_pair *names, size_t count)
{
	assert(e->dropped_count < HEAD_EDITS_DROPS);
	e->dropped[e->dropped_count].names = names;
	e->dropped[e->dropped_count++].count = count;
	for (size_t i = 0; i < count; i++)
		name_add(e, names[i].name);
}

static bool name_is(const struct http_field *f, const char *name)
{
	return http_text_is(f->name, f->name_len, name, strlen(name));
}

bool head_edits_take(const struct head_edits *e, const struct http_field *f)
{
	if (f->id != HTTP_OTHER || !e->has_other)
		return (HTTP_BIT(f->id) & e->ids) != 0;
	for (size_t i = 0; i < e->dropped_count; i++)
		for (size_t j = 0; j < e->dropped[i].count; j++)
			if (name_is(f, e->dropped[i].names[j].name))
				return true;
	if (e->of == NULL)
		return false;
	for (size_t i = 0; i < e->of->remove_count; i++)
		if (name_is(f, e->of->remove[i]))
			return true;
	for (size_t i = 0; i < e->of->set_count; i++)
		if (name_is(f, e->of->set[i].name))
			return true;
	return false;
}

/* Runs of lines, as http1_write_forwarded_fields() copies them, with a look at every name. */
static void forward_by_name(struct str *out, const struct http_head *head, uint64_t leave_out,
			    const struct head_edits *e)
{
	const char *run = NULL;

	leave_out |= HTTP_HOP_BY_HOP_SET;
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];
		bool is_left_out = (HTTP_BIT(f->id) & leave_out) != 0 || head_edits_take(e, f) ||
				   (head->connection_names && http_field_is_hop_by_hop(head, f));

		if (run == NULL && !is_left_out)
			run = f->name;
		if (run != NULL && is_left_out) {
			str_bytes(out, run, (size_t)(f->name - run));
			run = NULL;
		}
	}
	if (run != NULL)
		str_bytes(out, run, (size_t)(head->fields_end - run));
}

void head_edits_forward(struct str *out, const struct http_head *head, uint64_t leave_out,
			const struct head_edits *e)
{
	long len;

	if (e->has_other && http_head_has(head, HTTP_OTHER)) {
		forward_by_name(out, head, leave_out, e);
		return;
	}
	if (out->is_cut)
		return;
	len = http1_write_forwarded_fields((uint8_t *)out->at + out->len, out->cap - out->len, head,
					   leave_out | e->ids);
	if (len < 0)
		out->is_cut = true;
	else
		out->len += (size_t)len;
}

void head_field_write(struct str *out, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (!http_text_is_field_value(value, value_len))
		return;
	str_bytes(out, name, name_len);
	str_bytes(out, ": ", 2);
	str_bytes(out, value, value_len);
	str_bytes(out, "\r\n", 2);
}
