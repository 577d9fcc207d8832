#define _GNU_SOURCE 1
#include "cpeers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int peers_unshare_network(void) { return unshare(CLONE_NEWNET); }

int peers_enter_network(int fd) { return setns(fd, CLONE_NEWNET); }

char **peers_environment(void) { return environ; }

int peers_attach_tun(int fd, const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  return ioctl(fd, TUNSETIFF, &request);
}

int peers_link_flags(int socket, const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return ioctl(socket, SIOCGIFFLAGS, &request) < 0 ? -1 : (unsigned short)request.ifr_flags;
}

int peers_netlink_send(int protocol, unsigned int port, const void *bytes, unsigned long count) {
  struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = port};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -1;
  int sent = (int)sendto(fd, bytes, count, 0, (struct sockaddr *)&to, sizeof to);
  int code = errno;
  close(fd);
  errno = code;
  return sent;
}

int peers_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int peers_pipe(int *ends) { return pipe2(ends, O_CLOEXEC); }

int peers_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int peers_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC); }

int peers_pidfd(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int peers_gettid(void) { return (int)syscall(SYS_gettid); }

void peers_number(unsigned int *numbers, unsigned long count) {
    for (unsigned long index = 0; index < count; index++) numbers[index] = (unsigned int)index;
}

int peers_unshare_descriptors(void) {
  unsigned int beyond_all = 1u << 30;
  return (int)syscall(SYS_close_range, beyond_all, beyond_all, 2u /* CLOSE_RANGE_UNSHARE */);
}

int peers_outgoing_queue(int fd, int *bytes) { return ioctl(fd, SIOCOUTQ, bytes); }

int peers_incoming_queue(int fd, int *bytes) { return ioctl(fd, SIOCINQ, bytes); }
int peers_fork(void) { return fork(); }

long long peers_thread_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int peers_attach_filter(int fd) {
  struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
  struct sock_fprog filter = {1, program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

int peers_attach_extended_filter(int fd) {
  struct bpf_insn program[] = {
      {.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  load.insns = (unsigned long)program;
  load.insn_cnt = sizeof program / sizeof program[0];
  load.license = (unsigned long)"";
  int filter = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (filter < 0) return -1;
  int code = setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof filter);
  int error = errno;
  close(filter);
  errno = error;
  return code;
}

int peers_forbid_accept(int code) {
  // This process uses the system call numbers of one architecture, so the filter checks only the number.
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}
