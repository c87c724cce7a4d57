// The program, loaded once and forked for each command line: loading LibTorch and what it needs takes longer
// than most commands of the tests. A forked process has run nothing before; only what is read while libraries
// are loaded is the first one's (tests/jobs/at_hand.py asks for nothing that needs another).
//
// Linked with --wrap=main, so that __real_main is the program's own. File descriptor 3 listens for
// connections of packets, one for each command; support/at_hand.h has what they carry. It ends with the
// process that started it.

#include "support/at_hand.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" int __real_main(int argc, char** argv);
extern "C" int __wrap_main(int argc, char** argv);

namespace {

constexpr int listening = 3;

struct Request {
  std::vector<std::string> parts;
  int out = -1, err = -1, reply = -1;
};

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

Request receive(int connection) {
  static char text[at_hand::largest];
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  iovec piece{text, sizeof text};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(connection, &message, 0);
  if (size <= 0 || CMSG_FIRSTHDR(&message) == nullptr) give_up("recvmsg");
  int handles[2];
  std::memcpy(handles, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof handles);
  Request request{{}, handles[0], handles[1], connection};
  for (const char* at = text; at < text + size; at += request.parts.back().size() + 1)
    request.parts.emplace_back(at);
  return request;
}

[[noreturn]] void run(Request request) {
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, 0);
  dup2(request.out, 1);
  dup2(request.err, 2);
  for (const int handle : {nothing, request.out, request.err, request.reply}) close(handle);
  if (chdir(request.parts[0].c_str()) != 0) give_up(request.parts[0].c_str());
  const std::size_t words = std::stoul(request.parts[1]);
  std::vector<char*> arguments;
  for (std::size_t i = 0; i < words; ++i) arguments.push_back(request.parts[2 + i].data());
  arguments.push_back(nullptr);
  clearenv();
  for (std::size_t i = 2 + words; i < request.parts.size(); ++i) putenv(request.parts[i].data());
  std::exit(__real_main(static_cast<int>(words), arguments.data()));
}

// Waits for the process to end; ends it when who asked for it is gone.
int status_of(pid_t pid, int connection) {
  pollfd looked_at[2] = {{static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0},
                         {connection, POLLIN, 0}};
  if (looked_at[0].fd < 0) give_up("pidfd_open");
  while (poll(looked_at, 2, -1) < 0 && errno == EINTR) {
  }
  if (looked_at[0].revents == 0) kill(pid, SIGKILL);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) give_up("waitpid");
  return status;
}

// A process of its own for each command, so that several can be under way.
[[noreturn]] void keep(int connection) {
  const Request request = receive(connection);
  const pid_t pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) run(request);
  close(request.out);
  close(request.err);
  const int status = status_of(pid, connection);
  send(connection, &status, sizeof status, MSG_NOSIGNAL);
  std::_Exit(0);
}

}  // namespace

int __wrap_main(int, char**) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGCHLD, SIG_IGN);  // keepers are nobody's to wait for
  for (;;) {
    const int connection = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) give_up("accept");
    const pid_t keeper = fork();
    if (keeper < 0) give_up("fork");
    if (keeper == 0) {
      close(listening);
      signal(SIGCHLD, SIG_DFL);
      keep(connection);
    }
    close(connection);
  }
}
