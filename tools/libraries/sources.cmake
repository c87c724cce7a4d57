# The libraries that Whence builds from their published sources where a machine has none of its own:
# name, file, SHA-256, address. `cmake -DTO=FOLDER [-DNAMES="fmt;..."] -P tools/libraries/fetch.cmake` fetches them ahead.
set(WHENCE_SOURCE_NAMES boost fmt json zlib libdeflate googletest hdf5)

set(boost_FILE boost_1_83_0.tar.bz2)
set(boost_SHA256 6478edfe2f3305127cffe8caf73ea0176c53769f4bf1585be237eb30798c3b8e)
set(boost_URL https://archives.boost.io/release/1.83.0/source/boost_1_83_0.tar.bz2)

set(fmt_FILE fmt-10.1.1.zip)
set(fmt_SHA256 b84e58a310c9b50196cda48d5678d5fa0849bca19e5fdba6b684f0ee93ed9d1b)
set(fmt_URL https://github.com/fmtlib/fmt/releases/download/10.1.1/fmt-10.1.1.zip)

set(json_FILE json-3.11.3.tar.gz)
set(json_SHA256 0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406)
set(json_URL https://github.com/nlohmann/json/archive/v3.11.3.tar.gz)

set(zlib_FILE zlib-1.3.1.tar.gz)
set(zlib_SHA256 9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23)
set(zlib_URL https://zlib.net/fossils/zlib-1.3.1.tar.gz)

set(libdeflate_FILE libdeflate-1.23.tar.gz)
set(libdeflate_SHA256 1ab18349b9fb0ce8a0ca4116bded725be7dcbfa709e19f6f983d99df1fb8b25f)
set(libdeflate_URL https://github.com/ebiggers/libdeflate/archive/refs/tags/v1.23.tar.gz)

set(googletest_FILE googletest-1.15.2.tar.gz)
set(googletest_SHA256 7b42b4d6ed48810c5362c265a17faebe90dc2373c885e5216439d37927f02926)
set(googletest_URL https://github.com/google/googletest/archive/refs/tags/v1.15.2.tar.gz)

set(hdf5_FILE hdf5-1.14.6.tar.gz)
set(hdf5_SHA256 e4defbac30f50d64e1556374aa49e574417c9e72c6b1de7a4ff88c4b1bea6e9b)
set(hdf5_URL https://github.com/HDFGroup/hdf5/releases/download/hdf5_1.14.6/hdf5-1.14.6.tar.gz)
