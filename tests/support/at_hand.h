#pragma once
// A command for the program at hand: one packet with standard output and standard error as file descriptors
// and, every part ended by a 0 byte, the working folder, the number of words, the words (the program's name
// first) and the environment. The answer is an int, the status of waitpid. Closing the connection ends the
// command.

namespace at_hand {

constexpr int largest = 1 << 17;                           ///< bytes of a packet
constexpr const char* address = "WHENCE_AT_HAND";          ///< environment: the socket's path
constexpr const char* program = "WHENCE_AT_HAND_PROGRAM";  ///< environment: the program's name

}  // namespace at_hand
