/* Arguments, and what has to happen before the first thread: everything else is control's.
 *
 * Exit status: 0 stopped by a signal or nothing found wrong, 1 it could not start or an error was found, 2 the command
 * line was not understood. */
#include "base/log.h"
#include "cluster/pick.h"
#include "config/config.h"
#include "control/control.h"
#include "control/process.h"
#include "demo/demo.h"
#include "net/ring.h"
#include "net/stream.h"
#include "net/tls_memory.h"
#include "guard/counters.h"
#include "proxy/counters.h"
#include "proxy/session_names.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <getopt.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

enum { EXIT_USAGE = 2 };

/* What an upgrade starts again. */
static struct {
	char **arguments;
} started;

static const char usage_text[] =
	"Usage: holdfast -c FILE           run with this configuration, in the foreground\n"
	"       holdfast -t -c FILE        check it: tells every error with its line and column\n"
	"       holdfast -T -c FILE        print what it comes to, with all defaults\n"
	"       holdfast --schema          print the configuration's JSON Schema\n"
	"       holdfast --demo            run a chat with a cluster inside the process, "
	"https://127.0.0.1:8443/\n"
	"       holdfast --version         print versions, and what io_uring has here\n"
	"       holdfast --help            print this\n"
	"\n"
	"Signals: HUP reads the configuration again, TERM stops gracefully, INT and QUIT stop now, USR1 "
	"reopens the\n"
	"access log, USR2 upgrades to the binary now on disk.  Manual: holdfast(8), holdfast.yaml(5).\n";

static int usage_wrong(const char *text, const char *about)
{
	fprintf(stderr, "holdfast: %s%s; try `holdfast --help`\n", text, about);
	return EXIT_USAGE;
}

/* ---- what only prints ---- */

/* stdout may be a full disk or a closed pipe: then what was printed is not what was asked for. */
static int printed(int err)
{
	if (err != 0 || fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "holdfast: cannot write to standard output\n");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static int print_help(void)
{
	return printed(fputs(usage_text, stdout) == EOF);
}

static int print_schema(void)
{
	return printed(config_print_schema(stdout));
}

static void print_version_of_pcre2(void)
{
	char version[64] = "unknown";

	if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= (int)sizeof(version))
		pcre2_config(PCRE2_CONFIG_VERSION, version);
	printf("PCRE2     %s\n", version);
}

static void print_io_uring(void)
{
	char error[512];

	if (ring_probe(error, sizeof(error)) < 0) {
		printf("io_uring  not usable: %s\n", error);
		return;
	}
	printf("io_uring  usable: messages between rings%s%s\n", ring_features.msg_ring ? "" : " missing",
	       ring_features.recv_credit ? ", bounded multishot receive" :
					   "; without bounded multishot receive (Linux 6.17), which is slower only");
}

static int print_version(void)
{
	printf("holdfast " HF_VERSION "\n");
	printf("OpenSSL   %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
#ifdef IO_URING_VERSION_MAJOR
	printf("liburing  %d.%d\n", IO_URING_VERSION_MAJOR, IO_URING_VERSION_MINOR);
#else
	printf("liburing  2.3\n"); /* the oldest that will do, and the last that does not say its version */
#endif
	print_version_of_pcre2();
#ifdef HF_TRACKER_BYPASS
	puts("built for tests/bench: --enable-tracker-bypass");
#endif
	printf("libyaml   %s\n", yaml_get_version_string());
	print_io_uring();
	return printed(0);
}

/* ---- configurations ---- */

static struct config *load_file(void *path, struct config_errors *errors)
{
	return config_load(path, errors);
}

static int check_file(char *path)
{
	const struct control_options options = { .load = load_file, .load_user = path };
	struct config_errors errors;
	bool is_good;

	config_errors_init(&errors);
	is_good = control_check(&options, &errors);
	config_errors_print(&errors, stderr);
	config_errors_done(&errors);
	if (!is_good)
		return EXIT_FAILURE;
	printf("%s: good\n", path);
	return printed(0);
}

static int print_file(char *path)
{
	struct config_errors errors;
	struct config *c;
	int status = EXIT_FAILURE;

	config_errors_init(&errors);
	c = config_load(path, &errors);
	config_errors_print(&errors, stderr);
	config_errors_done(&errors);
	if (c != NULL)
		status = printed(config_print(c, stdout));
	config_unref(c);
	return status;
}

/* ---- running ---- */

static bool can_run(void)
{
	char error[512];

	if (ring_probe(error, sizeof(error)) == 0)
		return true;
	fprintf(stderr, "holdfast: %s\n", error);
	return false;
}

static int run_control(struct control *c, const struct control_options *options)
{
	struct config_errors errors;
	bool is_good;

	config_errors_init(&errors);
	is_good = control_init(c, options, &errors);
	if (is_good)
		reload_log_errors(&errors); /* warnings, in the format that the file asks for */
	else
		config_errors_print(&errors, stderr);
	config_errors_done(&errors);
	return is_good ? control_run(c) : EXIT_FAILURE;
}

static int run(const struct control_options *options)
{
	struct control *c = malloc(sizeof(*c));
	int status;

	if (c == NULL) {
		fprintf(stderr, "holdfast: out of memory\n");
		return EXIT_FAILURE;
	}
	status = run_control(c, options);
	control_done(c);
	free(c);
	return status;
}

/* As it was called, so that a link that has been turned to another version is followed; NULL: it cannot be found. */
static const char *own_path(char out[PATH_MAX])
{
	char here[PATH_MAX / 2];
	const char *called = started.arguments[0];
	ssize_t len;

	if (called[0] == '/' && strlen(called) < PATH_MAX)
		return called;
	if (strchr(called, '/') != NULL && getcwd(here, sizeof(here)) != NULL && strlen(called) < PATH_MAX / 2) {
		snprintf(out, PATH_MAX, "%s/%s", here, called);
		return out;
	}
	len = readlink("/proc/self/exe", out, PATH_MAX - 1);
	if (len <= 0)
		return NULL;
	out[len] = '\0';
	return out;
}

static int run_file(char *path)
{
	char binary[PATH_MAX];
	const struct control_options options = { .load = load_file,
						 .load_user = path,
						 .binary = own_path(binary),
						 .arguments = started.arguments };

	return can_run() ? run(&options) : EXIT_FAILURE;
}

static int run_demo(void)
{
	char error[256];
	struct demo *demo;
	int status = EXIT_FAILURE;

	if (!can_run())
		return EXIT_FAILURE;
	demo = demo_new(error, sizeof(error));
	if (demo == NULL) {
		fprintf(stderr, "holdfast: the demo cannot start: %s\n", error);
		return EXIT_FAILURE;
	}
	/* Before it listens, so that who finds it listening has been told.  (If it then cannot, that is told as well.) */
	if (demo_print(demo, stdout) == 0) {
		const struct control_options options = { .load = demo_load,
							 .load_user = demo,
							 .own_tls_listener = DEMO_LISTENER,
							 .own_tls = demo_tls(demo) };

		status = run(&options);
	}
	demo_free(demo);
	return status;
}

/* ---- arguments ---- */

struct arguments {
	char *file;
	char command; /* 0: run; else 't', 'T' and the values of long options below */
};

enum { COMMAND_SCHEMA = 1, COMMAND_DEMO, COMMAND_VERSION, COMMAND_HELP };

/* 0, or the exit status of a command line that was not understood. */
static int arguments_read(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "schema", no_argument, NULL, COMMAND_SCHEMA },
		{ "demo", no_argument, NULL, COMMAND_DEMO },
		{ "version", no_argument, NULL, COMMAND_VERSION },
		{ "help", no_argument, NULL, COMMAND_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:tTh", options, NULL)) != -1) {
		if (option == ':')
			return usage_wrong("a file is missing behind ", argv[optind - 1]);
		if (option == '?') {
			const char letter[] = { '-', (char)optopt, '\0' };

			return usage_wrong("there is no option ", optopt != 0 ? letter : argv[optind - 1]);
		}
		if (option == 'h')
			option = COMMAND_HELP;
		if (option == 'c') {
			a->file = optarg;
			continue;
		}
		if (a->command != 0 && a->command != option)
			return usage_wrong("one command at a time", "");
		a->command = (char)option;
	}
	if (optind < argc)
		return usage_wrong("what is this: ", argv[optind]);
	return 0;
}

static const struct {
	char command;
	int (*with_file)(char *path);
	int (*alone)(void);
} commands[] = {
	{ 0, run_file, NULL },
	{ 't', check_file, NULL },
	{ 'T', print_file, NULL },
	{ COMMAND_SCHEMA, NULL, print_schema },
	{ COMMAND_DEMO, NULL, run_demo },
	{ COMMAND_VERSION, NULL, print_version },
	{ COMMAND_HELP, NULL, print_help },
};

static int execute(const struct arguments *a)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].command != a->command)
			continue;
		if (commands[i].alone != NULL)
			return commands[i].alone();
		if (a->file == NULL)
			return usage_wrong("a configuration is wanted: -c FILE", "");
		return commands[i].with_file(a->file);
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct arguments a = { NULL, 0 };
	int status;

	started.arguments = argv;
	status = arguments_read(&a, argc, argv);

	if (status != 0)
		return status;
	tls_memory_init(); /* before anything else of OpenSSL; without it all goes to malloc() as before */
	signals_block();
	process_raise_files();
	config_set_algorithms(algorithm_names());
	guard_counters_setup();
	proxy_counters_setup();
	session_names_setup();
	stream_setup();
	return execute(&a);
}
