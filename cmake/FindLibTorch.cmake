# SPDX-License-Identifier: GPL-3.0-or-later
# Finds LibTorch without its own package file, which asks for the CUDA toolkit when the wheel was built with CUDA.
# Looks at Torch_DIR (<prefix>/share/cmake/Torch), CMAKE_PREFIX_PATH, then at the wheel in BITWRIGHT_VENV.
# Gives the target LibTorch::LibTorch and LibTorch_VERSION.
file(GLOB _wheel ${BITWRIGHT_VENV}/lib/python3*/site-packages/torch)
set(_hints ${_wheel})
if(Torch_DIR)
    list(PREPEND _hints ${Torch_DIR}/../../..)
endif()
foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
    list(PREPEND _hints ${_prefix} ${_prefix}/../..)
endforeach()
find_path(LibTorch_INCLUDE_DIR torch/csrc/autograd/custom_function.h HINTS ${_hints} PATH_SUFFIXES include)
get_filename_component(_prefix "${LibTorch_INCLUDE_DIR}" DIRECTORY)
foreach(_lib torch torch_cpu c10 torch_cuda c10_cuda)
    find_library(LibTorch_${_lib}_LIBRARY ${_lib} HINTS ${_prefix}/lib NO_DEFAULT_PATH)
endforeach()
if(LibTorch_INCLUDE_DIR AND EXISTS ${_prefix}/version.py)
    file(STRINGS ${_prefix}/version.py _line REGEX "__version__ = ")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${_line}")
elseif(LibTorch_INCLUDE_DIR AND EXISTS ${_prefix}/build-version)
    file(STRINGS ${_prefix}/build-version LibTorch_VERSION LIMIT_COUNT 1)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
    REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY LibTorch_INCLUDE_DIR VERSION_VAR LibTorch_VERSION
    REASON_FAILURE_MESSAGE "scripts/run installs it, or set Torch_DIR to libtorch/share/cmake/Torch")
if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
    add_library(LibTorch::LibTorch INTERFACE IMPORTED)
    target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
        ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
    # as-needed would drop the CUDA libraries, whose registration runs on load
    set(_libs ${LibTorch_torch_cpu_LIBRARY} ${LibTorch_c10_LIBRARY})
    foreach(_lib torch torch_cuda c10_cuda)
        if(LibTorch_${_lib}_LIBRARY)
            list(APPEND _libs -Wl,--no-as-needed ${LibTorch_${_lib}_LIBRARY} -Wl,--as-needed)
        endif()
    endforeach()
    target_link_libraries(LibTorch::LibTorch INTERFACE ${_libs})
endif()
