/* The thread that writes the logs, and the queues that lead to it.
 *
 * A sink is a log.  Each thread that writes to a sink has a queue for it: a ring of bytes with one producer (the thread)
 * and one consumer (the writer), made at the thread's first line, drained and recycled after its end.  The end of a
 * queue moves by whole lines, so that what the writer takes from one queue in one go never mixes with another's lines.
 *
 * Wake-ups: the producer makes a system call only when the writer has announced that it sleeps on this sink, or, while
 * it gathers lines for a moment, when a queue is more than half full.  A sink that takes nothing (FIFO full, no space,
 * reader gone) is not woken for: the writer waits for it, or tries again each second.
 * Called by: base/log. */
#ifndef BASE_LOG_WRITER_H
#define BASE_LOG_WRITER_H

#include "base/log_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_sink { LOG_SINK_PROCESS, LOG_SINK_ACCESS, LOG_SINK_COUNT };

#define LOG_QUEUE_PROCESS_LEN 65536u /* bytes a thread */
#define LOG_QUEUE_ACCESS_LEN  262144u

/* 0 or a negative errno; -EALREADY when it runs. */
int log_writer_start(void);
/* Writes what is queued, as far as the sinks take it within a second; counts the rest as dropped; closes the files. */
void log_writer_stop(void);
bool log_writer_is_running(void);

/* One line with its newline, or a few: written together, or dropped and counted.  Never waits. */
void log_writer_put(enum log_sink sink, const char *line, size_t len);

/* Where the sink writes from now on; takes the file (LOG_FILE_INIT: nowhere).  What is queued already goes to the
 * old file, if that takes it at once. */
void log_writer_set_file(enum log_sink sink, struct log_file file);

/* Lines dropped since the process began. */
uint64_t log_writer_dropped(enum log_sink sink);
/* System calls that producers made to wake the writer. */
uint64_t log_writer_wakes(void);

#endif
