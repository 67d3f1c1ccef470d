# SPDX-License-Identifier: GPL-3.0-or-later
# Compile options and warnings every target of ours links; nothing is set globally.
add_library(bitwright_options INTERFACE)
target_compile_features(bitwright_options INTERFACE cxx_std_23)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_compile_definitions(bitwright_options INTERFACE
    QT_NO_CAST_FROM_ASCII QT_NO_CAST_TO_ASCII QT_STRICT_ITERATORS QT_USE_QSTRINGBUILDER
    QT_NO_NARROWING_CONVERSIONS_IN_CONNECT QT_DISABLE_DEPRECATED_BEFORE=0x060400)
if(BITWRIGHT_SANITIZE)
    target_compile_options(bitwright_options INTERFACE -fsanitize=${BITWRIGHT_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(bitwright_options INTERFACE -fsanitize=${BITWRIGHT_SANITIZE})
endif()

add_library(bitwright_warnings INTERFACE)
target_compile_options(bitwright_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
    -Woverloaded-virtual $<$<BOOL:${BITWRIGHT_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlaps and overflows in std::string that are not there (its bug 105651).
    target_compile_options(bitwright_warnings INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
endif()

find_program(BITWRIGHT_CCACHE ccache)
if(BITWRIGHT_CCACHE)
    # GCC's precompiled headers need these two sloppiness settings to be cached at all.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${BITWRIGHT_CCACHE})
    target_compile_options(bitwright_options INTERFACE -fpch-preprocess)
endif()
add_feature_info(ccache BITWRIGHT_CCACHE "compiler cache, makes a second build fast")
