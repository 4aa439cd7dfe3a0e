#include "base/log.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log_file.h"
#include "base/log_writer.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX 4096 /* bytes; what is longer is cut */
#define LINE_MAX    8192 /* with everything, escapes included */
#define CUT_MARK    "..."

#define DIRECT_WAIT_MS 1000

static const struct {
	const char *name;
	char priority; /* of syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", '3' },
	[LOG_LEVEL_WARN] = { "warn", '4' },
	[LOG_LEVEL_INFO] = { "info", '6' },
	[LOG_LEVEL_DEBUG] = { "debug", '7' },
};

_Atomic enum log_level log_threshold = LOG_LEVEL_INFO;
static _Atomic enum log_format line_format = LOG_FORMAT_TEXT;

/* Whether stderr leads to journald, which has times of its own and wants priorities. */
static _Atomic enum { JOURNAL_UNKNOWN, JOURNAL_NO, JOURNAL_YES } journal;

static pthread_mutex_t access_lock = PTHREAD_MUTEX_INITIALIZER;
static char *access_path; /* under access_lock; NULL: off */
static atomic_bool access_is_on;

/* JOURNAL_STREAM is inherited by children whose stderr goes elsewhere, so that it has to be compared (systemd.exec(5)). */
static void find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	bool is_it = stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;

	atomic_store(&journal, is_it ? JOURNAL_YES : JOURNAL_NO);
}

static void put_message(struct str *s, enum log_format format, const char *message, size_t len, bool is_cut)
{
	if (format == LOG_FORMAT_JSON) {
		str_char(s, '"');
		str_json_part(s, message, len);
		if (is_cut)
			str_cstr(s, CUT_MARK);
		str_cstr(s, "\"}");
	} else {
		str_plain(s, message, len);
		if (is_cut)
			str_cstr(s, CUT_MARK);
	}
	str_char(s, '\n');
}

static void put_head(struct str *s, enum log_level level, enum log_format format)
{
	bool is_journal = atomic_load_explicit(&journal, memory_order_relaxed) == JOURNAL_YES;
	char now[CLOCK_ISO_MAX];

	if (is_journal) {
		str_char(s, '<');
		str_char(s, levels[level].priority);
		str_char(s, '>');
	}
	if (format == LOG_FORMAT_JSON) {
		str_cstr(s, "{\"time\":\"");
		str_bytes(s, now, clock_print_iso(clock_wall_ns(), now));
		str_cstr(s, "\",\"level\":\"");
		str_cstr(s, levels[level].name);
		str_cstr(s, "\",\"message\":");
	} else if (!is_journal) {
		str_bytes(s, now, clock_print_iso(clock_wall_ns(), now));
		str_char(s, ' ');
		str_cstr(s, levels[level].name);
		str_char(s, ' ');
	}
}

/* The whole line; a message whose escapes make it too long is cut until it fits. */
static void build_line(struct str *s, enum log_level level, const char *message, size_t len, bool is_cut)
{
	enum log_format format = atomic_load_explicit(&line_format, memory_order_relaxed);
	size_t head_len;

	put_head(s, level, format);
	head_len = s->len;
	for (;;) {
		while (is_cut && len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80)
			len--; /* not within a character */
		put_message(s, format, message, len, is_cut);
		if (!s->is_cut)
			return;
		str_rewind(s, head_len);
		is_cut = true;
		len = len / 4 * 3;
	}
}

/* Without the writer: before it starts, after it has ended.  Not even then is a reader waited for that never reads. */
static void write_directly(const char *line, size_t len)
{
	while (len > 0) {
		struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
		ssize_t n = poll(&p, 1, DIRECT_WAIT_MS) == 0 ? 0 : write(STDERR_FILENO, line, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody is left to be told */
		line += n;
		len -= (size_t)n;
	}
}

void log_line(enum log_level level, const char *format, ...)
{
	char message[MESSAGE_MAX], line[LINE_MAX];
	int saved_errno = errno, len;
	struct str s;
	va_list args;

	if (level > atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	if (atomic_load_explicit(&journal, memory_order_relaxed) == JOURNAL_UNKNOWN)
		find_journal();
	va_start(args, format);
	len = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	str_init(&s, line, sizeof(line));
	if (len < MESSAGE_MAX)
		build_line(&s, level, message, (size_t)len, false);
	else
		build_line(&s, level, message, MESSAGE_MAX - 1, true);
	if (log_writer_is_running())
		log_writer_put(LOG_SINK_PROCESS, s.at, s.len);
	else
		write_directly(s.at, s.len);
	errno = saved_errno;
}

int log_start(void)
{
	struct log_file file;

	if (log_writer_is_running())
		return -EALREADY;
	find_journal();
	if (log_file_of(&file, STDERR_FILENO) != 0)
		file = LOG_FILE_INIT; /* stderr is closed */
	log_writer_set_file(LOG_SINK_PROCESS, file);
	return log_writer_start();
}

void log_stop(void)
{
	log_writer_stop();
	log_access_open(NULL);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
	atomic_store_explicit(&line_format, format, memory_order_relaxed);
}

int log_access_open(const char *path)
{
	struct log_file file = LOG_FILE_INIT;
	char *copy = NULL;
	int err = 0;

	pthread_mutex_lock(&access_lock);
	if (path != NULL) {
		copy = strdup(path);
		err = copy == NULL ? -ENOMEM : log_file_open(&file, path);
	}
	if (err != 0) {
		free(copy);
	} else {
		free(access_path);
		access_path = copy;
		atomic_store_explicit(&access_is_on, copy != NULL, memory_order_relaxed);
		log_writer_set_file(LOG_SINK_ACCESS, file);
	}
	pthread_mutex_unlock(&access_lock);
	return err;
}

int log_access_reopen(void)
{
	struct log_file file;
	int err = 0;

	pthread_mutex_lock(&access_lock);
	if (access_path != NULL) {
		err = log_file_open(&file, access_path);
		if (err == 0)
			log_writer_set_file(LOG_SINK_ACCESS, file);
	}
	pthread_mutex_unlock(&access_lock);
	return err;
}

bool log_access_is_on(void)
{
	return atomic_load_explicit(&access_is_on, memory_order_relaxed);
}

void log_access_write(const char *line, size_t len)
{
	assert(len > 0 && line[len - 1] == '\n');
	if (log_access_is_on() && log_writer_is_running())
		log_writer_put(LOG_SINK_ACCESS, line, len);
}

uint64_t log_dropped(void)
{
	return log_writer_dropped(LOG_SINK_PROCESS) + log_writer_dropped(LOG_SINK_ACCESS);
}
