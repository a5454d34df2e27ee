/*
 * The raw system call, as fast as C can make it: what tsbpf on the Linux kernel is measured against.
 *
 *   syscall_loop TYPE KEY_SIZE VALUE_SIZE KEYS
 *
 * Makes a map, fills it with KEYS keys, says "ready", and then does what it is asked on stdin: a line "N ROW" is answered
 * with the nanoseconds of one of N operations, or "-" when it has no such row. On an error it says "! " and why.
 *
 *   echo "65536 lookup" | build/syscall_loop 1 4 8 65536
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16384
/* More than the slots of all CPUs take. */
#define VALUE_ROOM 65536
#define KEY_ROOM 64

static int map_fd;
static uint32_t key_size, value_size, keys;
static int is_array;
/* Inserted keys in the order of lookups, and keys that are not in the map. */
static uint32_t *hits, *absent;
static char key[KEY_ROOM], next_key[KEY_ROOM];
static char value[VALUE_ROOM];
static char *batch_keys, *batch_values;
static volatile uint64_t kept;

static void fail(const char *what)
{
	printf("! %s: %s\n", what, strerror(errno));
	exit(1);
}

static long bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

/* As keys.ts has it. */
static uint32_t mix(uint32_t h)
{
	h = (h ^ (h >> 16)) * 0x85ebca6b;
	h = (h ^ (h >> 13)) * 0xc2b2ae35;
	return h ^ (h >> 16);
}

static void shuffle(uint32_t *list)
{
	for (uint32_t i = keys - 1; i > 0; i--) {
		uint32_t j = mix(i) % (i + 1), other = list[i];
		list[i] = list[j];
		list[j] = other;
	}
}

static void make_keys(void)
{
	hits = malloc(keys * sizeof(*hits));
	absent = malloc(keys * sizeof(*absent));
	for (uint32_t n = 0, i = 1; n < 2 * keys; i++) {
		uint32_t k = is_array ? n : mix(i);
		if (k >= 1u << 31)
			continue;
		if (n < keys)
			hits[n] = k;
		else
			absent[n - keys] = k;
		n++;
	}
}

static void put_key(uint32_t k)
{
	memcpy(key, &k, sizeof(k));
}

static union bpf_attr elem_attr(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map_fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return attr;
}

static void make_map(uint32_t type)
{
	union bpf_attr attr;
	union bpf_attr elem;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = is_array ? keys : keys + 4096;
	map_fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (map_fd < 0)
		fail("BPF_MAP_CREATE");
	elem = elem_attr();
	for (uint32_t i = 0; i < keys; i++) {
		put_key(hits[i]);
		if (bpf(BPF_MAP_UPDATE_ELEM, &elem, sizeof(elem)) != 0)
			fail("BPF_MAP_UPDATE_ELEM");
	}
}

/* Each row does about n operations from the from'th key on, and returns how many it did. */

static long lookup(uint32_t from, uint32_t n)
{
	union bpf_attr attr = elem_attr();

	for (uint32_t i = from; i < from + n; i++) {
		put_key(hits[i % keys]);
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) != 0)
			fail("BPF_MAP_LOOKUP_ELEM");
		kept += *(uint32_t *)value;
	}
	return n;
}

static long lookup_miss(uint32_t from, uint32_t n)
{
	union bpf_attr attr = elem_attr();

	for (uint32_t i = from; i < from + n; i++) {
		put_key(absent[i % keys]);
		kept += bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
	}
	return n;
}

static long update(uint32_t from, uint32_t n)
{
	union bpf_attr attr = elem_attr();

	for (uint32_t i = from; i < from + n; i++) {
		put_key(hits[i % keys]);
		memcpy(value, &i, sizeof(i));
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) != 0)
			fail("BPF_MAP_UPDATE_ELEM");
	}
	return n;
}

static long insert_delete(uint32_t from, uint32_t n)
{
	union bpf_attr attr = elem_attr();
	union bpf_attr gone = elem_attr();

	gone.value = 0;
	for (uint32_t done = 0; done < n; done += 4096) {
		uint32_t begin = from + done, end = from + (n < done + 4096 ? n : done + 4096);
		for (uint32_t i = begin; i < end; i++) {
			put_key(absent[i % keys]);
			if (bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) != 0)
				fail("BPF_MAP_UPDATE_ELEM");
		}
		for (uint32_t i = begin; i < end; i++) {
			put_key(absent[i % keys]);
			if (bpf(BPF_MAP_DELETE_ELEM, &gone, sizeof(gone)) != 0)
				fail("BPF_MAP_DELETE_ELEM");
		}
	}
	return n;
}

/* No system call adds: look up, add, write back. */
static long add(uint32_t from, uint32_t n)
{
	union bpf_attr attr = elem_attr();

	for (uint32_t i = from; i < from + n; i++) {
		put_key(hits[i % keys]);
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) != 0)
			fail("BPF_MAP_LOOKUP_ELEM");
		++*(uint32_t *)value;
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) != 0)
			fail("BPF_MAP_UPDATE_ELEM");
	}
	return n;
}

static long iterate(uint32_t from, uint32_t n)
{
	union bpf_attr next = elem_attr();
	union bpf_attr attr = elem_attr();
	uint32_t count = 0;

	next.key = 0;
	next.next_key = (uintptr_t)next_key;
	while (count < n && bpf(BPF_MAP_GET_NEXT_KEY, &next, sizeof(next)) == 0) {
		memcpy(key, next_key, key_size);
		next.key = (uintptr_t)key;
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0)
			kept += *(uint32_t *)value;
		count++;
	}
	return count;
}

static long iterate_batches(uint32_t from, uint32_t n)
{
	union bpf_attr attr;
	char cursor[2][KEY_ROOM];
	uint32_t count = 0;
	int turn = 0;
	long ret;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = map_fd;
	attr.batch.keys = (uintptr_t)batch_keys;
	attr.batch.values = (uintptr_t)batch_values;
	do {
		attr.batch.out_batch = (uintptr_t)cursor[turn];
		attr.batch.count = BATCH;
		ret = bpf(BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr));
		if (ret != 0 && errno != ENOENT)
			fail("BPF_MAP_LOOKUP_BATCH");
		for (uint32_t i = 0; i < attr.batch.count; i++) {
			kept += *(uint32_t *)(batch_keys + (size_t)i * key_size);
			kept += *(uint32_t *)(batch_values + (size_t)i * value_size);
		}
		count += attr.batch.count;
		attr.batch.in_batch = (uintptr_t)cursor[turn];
		turn = !turn;
	} while (ret == 0);
	return count;
}

static const struct {
	const char *name;
	long (*run)(uint32_t from, uint32_t n);
	int needs_hash;
} rows[] = {
	{ "lookup", lookup, 0 },
	{ "lookup miss", lookup_miss, 1 },
	{ "update", update, 0 },
	{ "insert + delete", insert_delete, 1 },
	{ "add", add, 0 },
	{ "iterate", iterate, 0 },
	{ "iterate in batches", iterate_batches, 0 },
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void answer(const char *name, uint32_t from, uint32_t n)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0 && !(rows[i].needs_hash && is_array)) {
			double start = now_ns();
			long done = rows[i].run(from, n);

			printf("%.3f\n", (now_ns() - start) / done);
			return;
		}
	}
	printf("-\n");
}

int main(int argc, char **argv)
{
	char line[128];
	uint32_t from = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: %s TYPE KEY_SIZE VALUE_SIZE KEYS\n", argv[0]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	uint32_t type = atoi(argv[1]);
	key_size = atoi(argv[2]);
	value_size = atoi(argv[3]);
	keys = atoi(argv[4]);
	is_array = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
	batch_keys = calloc(BATCH, KEY_ROOM);
	batch_values = calloc(BATCH, VALUE_ROOM / 64);
	make_keys();
	make_map(type);
	shuffle(hits);
	shuffle(absent);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *row;
		uint32_t n = strtoul(line, &row, 10);

		line[strcspn(line, "\n")] = 0;
		answer(row + strspn(row, " "), from, n);
		from += n;
	}
	return 0;
}
