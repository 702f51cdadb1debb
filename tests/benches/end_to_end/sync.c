/* Preloaded into the server: counts its syncs in the file $SYNC_COUNT names, each $SYNC_DELAY_US longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong none, *count = &none;
static long delay;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("SYNC_COUNT"), *us = getenv("SYNC_DELAY_US");
    int fd = file ? open(file, O_RDWR) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) count = page;
    if (us) delay = atol(us);
}

static int synced(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    struct timespec pause = {delay / 1000000, delay % 1000000 * 1000};
    if (delay) nanosleep(&pause, NULL);
    atomic_fetch_add(count, 1);
    return real(fd);
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
