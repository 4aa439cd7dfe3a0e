/* The main() of a fuzz target where there is no libFuzzer.
 *
 *   fuzz_ROOM               replays $FUZZ_CORPUS/ROOM/, every file; no files is a failure
 *   fuzz_ROOM FILE|DIR...   replays these: what libFuzzer has found, under a debugger */
#include "must.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The bytes end where the allocation ends, so that ASan sees one byte too far. */
static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *bytes;
	size_t len;
	int result = -1;

	if (f == NULL || fstat(fileno(f), &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (f != NULL)
			fclose(f);
		return -1;
	}
	len = (size_t)st.st_size;
	bytes = malloc(len > 0 ? len : 1);
	if (bytes != NULL && fread(bytes, 1, len, f) == len) {
		LLVMFuzzerTestOneInput(bytes, len);
		result = 0;
	}
	free(bytes);
	fclose(f);
	return result;
}

/* Returns how many files were replayed, -1 on failure. */
static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return replay_file(path) == 0 ? 1 : -1;
	while (count >= 0 && (entry = readdir(dir)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (replay_file(name) == 0)
			count++;
		else
			count = -1;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	const char *corpus = getenv("FUZZ_CORPUS");
	const char *name = strstr(argv[0], "fuzz_");
	char path[4096];
	int count = 0;

	if (argc > 1) {
		for (int i = 1; i < argc; i++) {
			int n = replay(argv[i]);

			if (n < 0)
				return 1;
			count += n;
		}
	} else {
		for (const char *next = name; next != NULL; next = strstr(name + 1, "fuzz_"))
			name = next;
		snprintf(path, sizeof(path), "%s/%s", corpus != NULL ? corpus : "tests/fuzz/corpus",
			 name != NULL ? name + strlen("fuzz_") : "");
		count = replay(path);
	}
	if (count <= 0) {
		fprintf(stderr, "%s: nothing replayed; is FUZZ_CORPUS set?\n", argv[0]);
		return 1;
	}
	printf("%s: %d inputs\n", argv[0], count);
	return 0;
}
