// A clock that runs DAYS_AHEAD days ahead, for the test of another clock: preloaded, it stands before the C library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead(void) { const char *days = getenv("DAYS_AHEAD"); return days ? 86400 * atol(days) : 0; }
static int real(clockid_t which, struct timespec *at) {
  static int (*next)(clockid_t, struct timespec *);
  if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  return next(which, at);
}
int clock_gettime(clockid_t which, struct timespec *at) {
  int code = real(which, at);
  if (!code && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += ahead();
  return code;
}
time_t time(time_t *out) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (out) *out = at.tv_sec;
  return at.tv_sec;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  out->tv_sec = at.tv_sec, out->tv_usec = at.tv_nsec / 1000;
  return 0;
}
