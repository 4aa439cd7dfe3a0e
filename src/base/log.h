/* Logs: the process's own lines and the access log.
 *
 * Writing never blocks a worker: a line goes into the calling thread's bounded queue, and one writer thread moves
 * queues into the files.  When a queue is full the line is dropped and counted, and the count is logged once there is
 * room again.  errno stays as it was.  Before log_start() and after log_stop() lines are written directly to stderr.
 *
 * Called by: every floor above config; base, wire, net and config return errors instead. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

extern _Atomic enum log_level log_threshold; /* lines above it cost one comparison */

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                          \
	do {                                                    \
		if (log_threshold >= LOG_LEVEL_DEBUG)           \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

/* One line of the process log, to stderr; formatted as text ("2026-01-01T00:00:00.000Z info message"), JSON, or, under
 * systemd (JOURNAL_STREAM set), with "<N>" priorities.  Control characters in the message are escaped, so that no
 * input can forge a line.  No trailing newline in `format`. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Starts the writer thread.  0 or a negative errno. */
int log_start(void);

/* Writes what is queued, as far as the readers take it within a second; ends the thread, closes the access log.  After
 * the threads that log. */
void log_stop(void);

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

/* Opens `path` ("-": stdout) as the access log, or reopens it (SIGUSR1, reload); NULL turns the access log off.
 * On failure the old file stays in use.  0 or a negative errno.  Borrows path. */
int log_access_open(const char *path);
/* Reopens the access log under the path it was opened with. */
int log_access_reopen(void);
bool log_access_is_on(void);

/* One whole line for the access log, newline included and no other line end in it; borrowed.  Dropped and counted when
 * the queue is full; nothing where the log is off or the writer does not run. */
void log_access_write(const char *line, size_t len);

/* Lines dropped since the start, over all threads. */
uint64_t log_dropped(void);

#endif
