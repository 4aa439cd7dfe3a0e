/* What net/stream tells net/passage. */
#ifndef NET_PASSAGES_H
#define NET_PASSAGES_H

struct stream;

/* The stream ends: its passages are over. */
void passages_forget(struct stream *s);
/* A stream that has a passage receives no more, or has nothing queued any more: it may begin. */
void passages_look(struct stream *s);

#endif
