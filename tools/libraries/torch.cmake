# LibTorch: TORCH_INCLUDE_DIRS, TORCH_LIBRARIES, Torch_DIR; of the Python package also TORCH_PACKAGES, the folder it lies in.
if(WHENCE_CUDA AND WHENCE_PIP_TORCH)
  message(FATAL_ERROR "WHENCE_PIP_TORCH is for the CPU; WHENCE_CUDA takes the Python package torch anyway")
endif()

# tools/setup --torch2, --cuda and --user put the Python package torch, and the NCCL it was built with, there.
# WHENCE_TORCH names another virtual environment, or the folder of packages that torch is one of.
if(WHENCE_CUDA OR WHENCE_PIP_TORCH)
  set(WHENCE_TORCH_ENVIRONMENT "$ENV{HOME}/.local/share/whence/torch-cuda")
  if(DEFINED ENV{WHENCE_TORCH})
    set(WHENCE_TORCH_ENVIRONMENT $ENV{WHENCE_TORCH})
  endif()
  file(GLOB TORCH_CONFIGS ${WHENCE_TORCH_ENVIRONMENT}/lib/python3*/site-packages/torch/share/cmake/Torch/TorchConfig.cmake
    ${WHENCE_TORCH_ENVIRONMENT}/torch/share/cmake/Torch/TorchConfig.cmake
    ${WHENCE_TORCH_ENVIRONMENT}/share/cmake/Torch/TorchConfig.cmake)
  if(NOT TORCH_CONFIGS)
    message(FATAL_ERROR "${WHENCE_TORCH_ENVIRONMENT}: no LibTorch there; ./tools/setup --user, --torch2 or --cuda installs "
                        "one, and WHENCE_TORCH names a virtual environment, or a folder of packages, that has torch")
  endif()
  list(GET TORCH_CONFIGS 0 TORCH_PACKAGES)
  string(REPLACE "/torch/share/cmake/Torch/TorchConfig.cmake" "" TORCH_PACKAGES ${TORCH_PACKAGES})
  set(Torch_DIR ${TORCH_PACKAGES}/torch/share/cmake/Torch CACHE PATH "LibTorch" FORCE)
  list(PREPEND CMAKE_PREFIX_PATH ${TORCH_PACKAGES}/torch/share/cmake)
endif()

# A LibTorch for CUDA asks for the toolkit in its TorchConfig.cmake; its part for the CPU needs none.
set(TORCH_CPU_PART FALSE)
if(NOT WHENCE_CUDA)
  find_path(Torch_DIR TorchConfig.cmake PATH_SUFFIXES Torch share/cmake/Torch)
  if(Torch_DIR MATCHES "/share/cmake/Torch$")
    get_filename_component(TORCH_FOLDER ${Torch_DIR}/../../.. ABSOLUTE)
    if(WHENCE_PIP_TORCH OR EXISTS ${TORCH_FOLDER}/lib/libtorch_cuda.so)
      set(TORCH_CPU_PART TRUE)
    endif()
  endif()
endif()
if(TORCH_CPU_PART)
  file(STRINGS ${Torch_DIR}/TorchConfig.cmake TORCH_OLD_ABI REGEX "TORCH_CXX_FLAGS.*_GLIBCXX_USE_CXX11_ABI=0")
  if(TORCH_OLD_ABI)
    message(FATAL_ERROR "LibTorch (${TORCH_FOLDER}) is built for the C++ ABI before C++11, which no other library here is; "
                        "torch 2.7 and later from pip is not")
  endif()
  set(TORCH_INCLUDE_DIRS ${TORCH_FOLDER}/include ${TORCH_FOLDER}/include/torch/csrc/api/include)
  set(TORCH_LIBRARIES ${TORCH_FOLDER}/lib/libtorch_cpu.so ${TORCH_FOLDER}/lib/libc10.so)
  list(APPEND CMAKE_BUILD_RPATH ${TORCH_FOLDER}/lib)
else()
  find_package(Torch REQUIRED)
endif()
# LibTorch may be of a later compiler than this one (Debian 13's with GCC 13), whose runtime it finds when it is loaded.
list(APPEND TORCH_LIBRARIES -Wl,--allow-shlib-undefined)
