// What mpirun starts in place of the program, as a rank: it has the program at hand (at_hand.h) run the same
// command line with its own environment, output and working folder, and ends as that ended.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/at_hand.h"

namespace {

int failed(const char* what) {
  std::perror(what);
  return 1;
}

std::string request_of(int argc, char** argv) {
  char* folder = getcwd(nullptr, 0);
  std::string text =
      std::string(folder) + '\0' + std::to_string(argc) + '\0' + std::getenv(at_hand::program) + '\0';
  std::free(folder);
  for (int i = 1; i < argc; ++i) text += std::string(argv[i]) + '\0';
  for (char** variable = environ; *variable != nullptr; ++variable) text += std::string(*variable) + '\0';
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const char* path = std::getenv(at_hand::address);
  if (path == nullptr || std::getenv(at_hand::program) == nullptr) return failed(at_hand::address);
  // A rank of MPICH has a connection to its launcher that is not passed on: it is the program itself.
  if (std::getenv("PMI_FD") != nullptr) {
    argv[0] = std::getenv(at_hand::program);
    execv(argv[0], argv);
    return failed(argv[0]);
  }
  const int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return failed(path);

  std::string text = request_of(argc, argv);
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  iovec piece{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* handles = CMSG_FIRSTHDR(&message);
  handles->cmsg_level = SOL_SOCKET;
  handles->cmsg_type = SCM_RIGHTS;
  handles->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int outputs[2] = {1, 2};
  std::memcpy(CMSG_DATA(handles), outputs, sizeof outputs);
  if (sendmsg(connection, &message, 0) < 0) return failed("sendmsg");

  int status = 0;
  if (recv(connection, &status, sizeof status, 0) != sizeof status) return failed("recv");
  if (WIFSIGNALED(status)) {
    std::signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
  }
  return WEXITSTATUS(status);
}
