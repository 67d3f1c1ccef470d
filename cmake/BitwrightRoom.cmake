# SPDX-License-Identifier: GPL-3.0-or-later
# bitwright_room(NAME [PUBLIC libs…] [PRIVATE libs…]): one static library from the sources of the calling folder.
function(bitwright_room name)
    cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp *.h)
    if(NOT sources)
        add_library(${name} INTERFACE)
        return()
    endif()
    add_library(${name} STATIC ${sources})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(${name} PUBLIC bitwright_options ${ROOM_PUBLIC} PRIVATE bitwright_warnings ${ROOM_PRIVATE})
endfunction()
