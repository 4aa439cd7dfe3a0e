/* The load generator's command line.  See options.h. */
#define _GNU_SOURCE
#include "options.h"

#include "common.h"

#include <getopt.h>

struct options options = { .connections = 1, .size = 64, .seconds = 2, .warmup_s = 0.5 };

const char *const mode_names[MODE_COUNT] = { "ws-echo", "ws-idle", "ws-stall", "handshake", "http", "upload" };

static const char usage[] =
	"usage: load --mode ws-echo|ws-idle|ws-stall|handshake|http|upload --port N [--connections N] [--size BYTES]\n"
	"            [--seconds S] [--warmup S] [--count UNITS] [--rate MESSAGES/S] [--pids N,N...]\n"
	"            [--tls] [--resume] [--wait]";

static enum mode mode_parse(const char *name)
{
	enum mode mode = MODE_WS_ECHO;

	while (mode < MODE_COUNT && strcmp(name, mode_names[mode]) != 0)
		mode++;
	return mode;
}

static void pids_parse(char *list)
{
	for (char *pid = strtok(list, ","); pid != NULL; pid = strtok(NULL, ",")) {
		if (options.proxy_count == PIDS_MAX)
			die("load: more than %d processes", PIDS_MAX);
		if (clock_getcpuclockid(atoi(pid), &options.proxy_clocks[options.proxy_count++]) != 0)
			die("load: no process %s", pid);
	}
}

static void option_set(int name, char *value)
{
	switch (name) {
	case 'm':
		options.mode = mode_parse(value);
		break;
	case 'p':
		options.port = (uint16_t)atoi(value);
		break;
	case 'c':
		options.connections = strtoul(value, NULL, 10);
		break;
	case 's':
		options.size = strtoull(value, NULL, 10);
		break;
	case 'd':
		options.seconds = atof(value);
		break;
	case 'w':
		options.warmup_s = atof(value);
		break;
	case 'r':
		options.rate_per_s = atof(value);
		break;
	case 'n':
		options.count = strtoull(value, NULL, 10);
		break;
	case 'P':
		pids_parse(value);
		break;
	default:
		die("%s", usage);
	}
}

void options_parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "port", required_argument, NULL, 'p' },
		{ "connections", required_argument, NULL, 'c' },
		{ "size", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "rate", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "pids", required_argument, NULL, 'P' },
		{ "tls", no_argument, NULL, 't' },
		{ "resume", no_argument, NULL, 'R' },
		{ "wait", no_argument, NULL, 'W' },
		{ 0 },
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == 't')
			options.tls = true;
		else if (name == 'R')
			options.resume = true;
		else if (name == 'W')
			options.wait = true;
		else
			option_set(name, optarg);
	}
	if (options.port == 0 || options.connections == 0 || options.size == 0 || options.mode == MODE_COUNT)
		die("%s", usage);
	if (options.mode <= MODE_HANDSHAKE && options.size > MESSAGE_MAX_BYTES)
		die("load: messages are at most %u bytes", MESSAGE_MAX_BYTES);
}
