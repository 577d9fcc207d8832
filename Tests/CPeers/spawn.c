// A replacement for posix_spawn in the test process, with which a child never holds a test's sockets, even briefly.
//
// Between clone(2) and execve(2) a child has a copy of its parent's descriptor table, close-on-exec or not. On a busy
// machine that takes tens of milliseconds, during which close(2) in the parent does not release the socket: a listener
// still accepts, an abort sends no reset, a FIN leaves in another order. The tests check what the kernel does at close.
// Therefore the child is spawned from a thread with its own descriptor table (CLOSE_RANGE_UNSHARE), which holds only
// the descriptors that the file actions name; pidfd_getfd(2) copies them into it.
//
// It applies to Swift Testing's exit tests too, because the program's own definition precedes the C library's. If
// something is missing (Linux before 6.9, another C library, an unknown file action), the C library's function is used.
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

// One entry of glibc's list of file actions (its spawn_int.h), as far as it is used here.
struct action {
  enum { do_close, do_dup2, do_open, do_chdir, do_fchdir, do_closefrom, do_setpgrp } tag;
  union {
    struct { int fd, newfd; } dup2;
    struct { int fd; } other;
    struct { int fd; char *path; int flags; mode_t mode; } open;
  };
};

enum { most = 64 };

struct request {
  spawn_function *spawn;
  pid_t *pid;
  const char *path;
  const posix_spawn_file_actions_t *actions;
  const posix_spawnattr_t *attributes;
  char *const *arguments, *const *environment;
  int caller;  // A pidfd of the calling thread, in that thread's table.
  pid_t thread;
  int numbers[most], count, highest;
  int code;
};

static int gather(struct request *request) {
#ifdef __GLIBC__
  const posix_spawn_file_actions_t *actions = request->actions;
  if (!actions) return 0;
  const struct action *all = (const struct action *)(const void *)actions->__actions;
  int closes_rest = 0;
  for (int i = 0; i < actions->__used; i++) {
    switch (all[i].tag) {
      case do_closefrom: closes_rest = 1; break;
      case do_open: case do_close: break;
      case do_dup2:
        if (all[i].dup2.fd < 3) break;
        if (request->count == most) return 0;
        request->numbers[request->count++] = all[i].dup2.fd;
        if (all[i].dup2.fd > request->highest) request->highest = all[i].dup2.fd;
        break;
      default: return 0;
    }
  }
  // Without closefrom, the child is meant to inherit every open descriptor.
  return closes_rest;
#else
  return 0;
#endif
}

static int bring(const struct request *request) {
  // The table holds only 0 to 2, so all other numbers are free.
  int caller = (int)syscall(SYS_pidfd_open, request->thread, O_EXCL /* PIDFD_THREAD */);
  if (caller < 0) return 0;
  int high = fcntl(caller, F_DUPFD_CLOEXEC, request->highest + 1);
  close(caller);
  if (high < 0) return 0;
  for (int i = 0; i < request->count; i++) {
    int number = request->numbers[i];
    if (fcntl(number, F_GETFD) >= 0) continue;
    int here = (int)syscall(SYS_pidfd_getfd, high, number, 0);
    if (here < 0) return 0;
    if (here == number) continue;
    if (dup3(here, number, O_CLOEXEC) < 0) return 0;
    close(here);
  }
  return 1;
}

static void *run(void *context) {
  struct request *request = context;
  if (syscall(SYS_close_range, 3u, ~0u, 2u /* CLOSE_RANGE_UNSHARE */) == 0 && bring(request)) {
    request->code = request->spawn(request->pid, request->path, request->actions, request->attributes,
                                   request->arguments, request->environment);
  }
  return NULL;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                char *const environment[restrict]) {
  struct request request = {
      .spawn = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawn"),
      .pid = pid, .path = path, .actions = actions, .attributes = attributes,
      .arguments = arguments, .environment = environment,
      .thread = (pid_t)syscall(SYS_gettid), .highest = 2, .code = -1,
  };
  if (gather(&request)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &request) == 0) pthread_join(thread, NULL);
  }
  if (request.code >= 0) return request.code;
  return request.spawn(pid, path, actions, attributes, arguments, environment);
}
