// A program that keeps the kernel waiting for it, as an ordinary user can: with memory on a file system that does not
// answer. Tests run `fin` beside it.
//
//   Hostile send FOLDER      a thread is in send, from memory that does not answer: the socket is locked
//   Hostile epoll FOLDER     a thread is in epoll_wait, into such memory: the epoll instance is locked
//   Hostile lock FOLDER      the map of the process's memory is locked
//   Hostile poll FOLDER      the array of a thread in poll is such memory
//   Hostile exe FOLDER       the executable is on such a file system
//   Hostile entries          an epoll instance has 450,000 entries
//   Hostile pollers          128 threads poll the same 4,000 descriptors
//   Hostile ledgers          eight descriptors of one published ledger of 48 MiB, and one of a terabyte of holes
//   Hostile fault-send       as send, with memory whose faults nothing answers (userfaultfd), without a file system
//   Hostile fault-epoll      as epoll, with such memory
//   Hostile crowd            11,000 descriptors
//   Hostile filtered PROGRAM runs a program that the kernel kills when it calls bpf
//
// With FOLDER it starts as root, mounts a FUSE file system there in a mount namespace of its own, as fusermount does,
// and goes on as an ordinary user. It prints "ready PID" once the kernel waits, and ends with its standard input, or
// after 30 seconds. The end of the process that serves the file system ends every wait for it.
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { nobody = 65534, page = 4096, lifetime = 30 };

static void fail(const char *what) {
  printf("failed: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void ready(int pid) {
  printf("ready %d\n", pid);
  fflush(stdout);
}

static void wait_for_end(void) {
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  exit(0);
}

static void allow_descriptors(rlim_t count) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = count;
  if (limit.rlim_max < count) limit.rlim_max = count;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

// A connection, whose peer closes it if `closes` is set: this end is then in CLOSE-WAIT.
static int connection(int closes) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int peer = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (void *)&address, length) != 0 || listen(listener, 1) != 0) fail("listen");
  getsockname(listener, (void *)&address, &length);
  if (connect(peer, (void *)&address, length) != 0) fail("connect");
  int end = accept(listener, NULL, NULL);
  if (end < 0) fail("accept");
  close(listener);
  if (closes) close(peer);
  return end;
}

// ---- Memory that does not answer.

static char *memory;
static int ends[2];
static int epoll;

static void *sending(void *unused) {
  send(ends[0], memory, page, 0);
  return unused;
}

static void *waiting(void *unused) {
  epoll_wait(epoll, (struct epoll_event *)(void *)memory, 8, -1);
  return unused;
}

static void *polling(void *unused) {
  struct pollfd *all = (void *)memory;
  all[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
  poll(all, 1, -1);
  return unused;
}

static void *reading(void *unused) {
  char byte;
  int own = open("/proc/self/mem", O_RDONLY);
  pread(own, &byte, 1, (off_t)(uintptr_t)memory);
  return unused;
}

static void *mapping(void *unused) {
  for (;;) munmap(mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page);
  return unused;
}

// Becomes an ordinary user without any rights.
static void renounce(void) {
  if (setgroups(0, NULL) != 0 || setresgid(nobody, nobody, nobody) != 0 || setresuid(nobody, nobody, nobody) != 0)
    fail("setresuid");
  prctl(PR_SET_DUMPABLE, 1);
}

static void start(void *(*body)(void *)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, NULL) != 0) fail("pthread_create");
}

static void be_hostile(const char *mode, const char *folder, int told) {
  char path[page];
  for (int i = 0; i < 20; i++) connection(1);
  snprintf(path, sizeof path, "%s/%s", folder, strcmp(mode, "exe") == 0 ? "exe" : "file");
  if (strcmp(mode, "exe") == 0) {
    char number[16];
    snprintf(number, sizeof number, "%d", told);
    execl(path, "idle", "idle", number, (char *)NULL);
    fail("exec");
  }
  int file = open(path, O_RDWR);
  if (file < 0) fail(path);
  int isPoll = strcmp(mode, "poll") == 0;
  memory = mmap(NULL, page, PROT_READ | PROT_WRITE, isPoll ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
                isPoll ? -1 : file, 0);
  if (memory == MAP_FAILED) fail("mmap");
  if (strcmp(mode, "send") == 0) {
    ends[0] = connection(0);
    start(sending);
  } else if (strcmp(mode, "epoll") == 0) {
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    for (int i = 0; i < 8; i++) epoll_ctl(epoll, EPOLL_CTL_ADD, connection(1), &event);
    start(waiting);
  } else if (strcmp(mode, "lock") == 0) {
    start(reading);
    start(mapping);
  } else if (isPoll) {
    if (pipe(ends) != 0) fail("pipe");
    start(polling);
    // The thread has read its array once it is in poll.
    char place[64], line[64];
    for (int number = 0; number != SYS_poll && number != SYS_ppoll;) {
      // The second thread of this process has the next number that is free.
      for (int thread = getpid() + 1; thread < getpid() + 512; thread++) {
        snprintf(place, sizeof place, "/proc/self/task/%d/syscall", thread);
        FILE *call = fopen(place, "r");
        if (!call) continue;
        if (fgets(line, sizeof line, call)) number = atoi(line);
        fclose(call);
        break;
      }
    }
    if (mmap(memory, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) fail("mmap");
    write(told, "p", 1);
  }
  for (;;) pause();
}

// ---- The file system.

static int device;
static const char *own_program;

static void answer(const struct fuse_in_header *request, int code, const void *bytes, size_t count) {
  char room[sizeof(struct fuse_out_header) + (1 << 17)];
  struct fuse_out_header head = {
      .len = (uint32_t)(sizeof head + count), .error = code, .unique = request->unique};
  memcpy(room, &head, sizeof head);
  if (count) memcpy(room + sizeof head, bytes, count);
  if (write(device, room, head.len) < 0 && errno != ENOENT) fail("answer");
}

static struct fuse_attr attributes(uint64_t inode) {
  struct stat own;
  stat(own_program, &own);
  int isFolder = inode == 1;
  return (struct fuse_attr){.ino = inode,
                            .size = isFolder ? 0 : inode == 2 ? 1 << 20 : (uint64_t)own.st_size,
                            .mode = isFolder ? S_IFDIR | 0777 : S_IFREG | 0777,
                            .nlink = 1,
                            .uid = nobody,
                            .gid = nobody,
                            .blksize = page};
}

// Whether a thread of this process waits for a lock in the kernel.
static int is_locked(int pid) {
  char path[64], line[512];
  int stuck = 0;
  for (int thread = pid; thread < pid + 512; thread++) {
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, thread);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    if (fgets(line, sizeof line, file)) {
      const char *state = strrchr(line, ')');
      if (state && state[2] == 'D') stuck++;
    }
    fclose(file);
  }
  return stuck > 0;
}

// Answers requests until standard input ends. The contents of "file" are never sent; after the program "exe" runs, no
// request is answered.
static void serve(int child, const char *mode, int told) {
  static char room[1 << 18];
  int isDead = 0, isReady = 0;
  static int program = -1;
  program = open(own_program, O_RDONLY);
  struct pollfd all[3] = {
      {.fd = device, .events = POLLIN}, {.fd = 0, .events = POLLIN}, {.fd = told, .events = POLLIN}};
  int isStuck = 0;
  for (;;) {
    if (poll(all, 3, 10) < 0) fail("poll");
    if (all[1].revents) exit(0);
    if (all[2].revents) {
      char byte;
      if (read(told, &byte, 1) == 1) isStuck = isDead = 1;
      all[2].fd = -1;
    }
    if (isStuck && !isReady && (strcmp(mode, "lock") != 0 || is_locked(child))) {
      isReady = 1;
      ready(child);
    }
    if (!(all[0].revents & POLLIN)) continue;
    ssize_t count = read(device, room, sizeof room);
    if (count < (ssize_t)sizeof(struct fuse_in_header)) continue;
    const struct fuse_in_header *request = (void *)room;
    const char *rest = room + sizeof *request;
    if (isDead && request->opcode != FUSE_FORGET) continue;
    switch (request->opcode) {
      case FUSE_INIT: {
        struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 1 << 16, .max_background = 12};
        answer(request, 0, &out, sizeof out);
        break;
      }
      case FUSE_LOOKUP: {
        uint64_t inode = strcmp(rest, "file") == 0 ? 2 : strcmp(rest, "exe") == 0 ? 3 : 0;
        struct fuse_entry_out out = {.nodeid = inode, .attr_valid = 1000, .entry_valid = 1000};
        if (!inode) {
          answer(request, -ENOENT, NULL, 0);
          break;
        }
        out.attr = attributes(inode);
        answer(request, 0, &out, sizeof out);
        break;
      }
      case FUSE_GETATTR: {
        struct fuse_attr_out out = {.attr_valid = 1000, .attr = attributes(request->nodeid)};
        answer(request, 0, &out, sizeof out);
        break;
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        struct fuse_open_out out = {.fh = 1};
        answer(request, 0, &out, sizeof out);
        break;
      }
      case FUSE_READ: {
        const struct fuse_read_in *wanted = (const void *)rest;
        if (request->nodeid == 2) {
          isStuck = 1;
          break;
        }
        static char piece[1 << 17];
        ssize_t found = pread(program, piece, wanted->size < sizeof piece ? wanted->size : sizeof piece,
                              (off_t)wanted->offset);
        answer(request, 0, piece, found < 0 ? 0 : (size_t)found);
        break;
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT: break;
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_ACCESS: answer(request, 0, NULL, 0); break;
      default: answer(request, -ENOSYS, NULL, 0);
    }
  }
}

static void mount_and_go(const char *mode, const char *folder) {
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("unshare");
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) fail("/dev/fuse");
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", device, nobody, nobody);
  if (mount("hostile", folder, "fuse", MS_NODEV, options) != 0) fail("mount");
  int told[2];
  if (pipe(told) != 0) fail("pipe");
  int child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(lifetime);
    // Only the server holds the file system, so that its end ends every wait.
    close(device);
    close(told[0]);
    renounce();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    be_hostile(mode, folder, told[1]);
  }
  close(told[1]);
  serve(child, mode, told[0]);
}

// ---- Large things.

static void make_entries(void) {
  enum { first = 200, last = 19900, sockets = 23 };
  allow_descriptors(20000);
  int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  for (int i = 0; i < sockets; i++) {
    int end = connection(1);
    // The entry stays when the descriptor is closed, because another one refers to the same socket.
    for (int number = first; number < last; number++) {
      if (dup2(end, number) < 0 || epoll_ctl(set, EPOLL_CTL_ADD, number, &event) != 0) fail("epoll_ctl");
    }
  }
  for (int number = first; number < last; number++) close(number);
  // One that no entry watches.
  connection(1);
}

static struct pollfd many[4000];

static void *polling_many(void *unused) {
  poll(many, 4000, -1);
  return unused;
}

static void make_pollers(void) {
  allow_descriptors(5000);
  int pair[2];
  if (pipe(pair) != 0) fail("pipe");
  for (int i = 0; i < 4000; i++) many[i] = (struct pollfd){.fd = dup(pair[0]), .events = POLLIN};
  for (int i = 0; i < 8; i++) connection(1);
  for (int i = 0; i < 128; i++) start(polling_many);
}

// ---- Memory whose faults nothing answers, without a file system.

static void make_faults(const char *mode) {
  for (int i = 0; i < 20; i++) connection(1);
  int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0) fail("userfaultfd");
  renounce();
  memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)memory, page}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (memory == MAP_FAILED || ioctl(faults, UFFDIO_REGISTER, &range) != 0) fail("register");
  if (strcmp(mode, "fault-send") == 0) {
    ends[0] = connection(0);
    start(sending);
  } else {
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    for (int i = 0; i < 8; i++) epoll_ctl(epoll, EPOLL_CTL_ADD, connection(1), &event);
    start(waiting);
  }
  // The kernel reports the fault that it waits for.
  struct pollfd reported = {.fd = faults, .events = POLLIN};
  if (poll(&reported, 1, -1) != 1) fail("poll");
}

static int ledger(uint64_t count, uint64_t size) {
  int file = memfd_create("fin-ledger", 0);
  struct {
    char magic[8];
    uint32_t version, head, record, pid;
    uint64_t capacity, used, without_room;
  } head = {{'f', 'i', 'n', '-', 'l', 'd', 'g', 'r'}, 1, 48, 128, (uint32_t)getpid(), count, count, 0};
  if (file < 0 || ftruncate(file, (off_t)size) != 0 || pwrite(file, &head, sizeof head, 0) != sizeof head)
    fail("memfd_create");
  return file;
}

static void make_ledgers(void) {
  enum { records = 3 << 17 };
  // Nothing waits for this program, and a debug build on a busy machine reads its ledgers for a while.
  alarm(4 * lifetime);
  for (int i = 0; i < 8; i++) connection(1);
  int full = ledger(records, 48 + 128ull * records);
  static char record[128 * 1024];
  for (int i = 0; i < records; i += 1024) {
    for (int k = 0; k < 1024; k++) {
      char *at = record + 128 * k;
      *(uint64_t *)(void *)at = 2;
      *(uint64_t *)(void *)(at + 8) = (uint64_t)(i + k + 1);
      at[60] = at[61] = 1;
      at[63] = 64;
      snprintf(at + 64, 64, "%063d", i + k);
    }
    if (pwrite(full, record, sizeof record, 48 + 128ll * i) < 0) fail("pwrite");
  }
  for (int i = 0; i < 6; i++) dup(full);
  ledger(1ull << 40, 1ull << 40);
}

// Runs a program that is killed when it, or one that it forks, calls bpf.
static void run_filtered(char **words) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) fail("seccomp");
  execv(words[0], words);
  fail("exec");
}

int main(int count, char **words) {
  if (count < 2) return 64;
  const char *mode = words[1];
  own_program = "/proc/self/exe";
  if (strcmp(mode, "filtered") == 0) run_filtered(words + 2);
  alarm(lifetime);
  if (strcmp(mode, "idle") == 0) {
    // The sockets are still open. The one that serves this program's file answers no more from now on.
    write(atoi(words[2]), "e", 1);
    for (;;) pause();
  }
  if (count > 2) mount_and_go(mode, words[2]);
  if (strcmp(mode, "entries") == 0) make_entries();
  if (strcmp(mode, "pollers") == 0) make_pollers();
  if (strcmp(mode, "ledgers") == 0) make_ledgers();
  if (strncmp(mode, "fault-", 6) == 0) make_faults(mode);
  if (strcmp(mode, "crowd") == 0) {
    allow_descriptors(12000);
    for (int i = 0; i < 11000; i++) dup(0);
  }
  ready(getpid());
  wait_for_end();
}
