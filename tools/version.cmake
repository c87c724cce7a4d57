# Writes TARGET with the version and the commit of SOURCE; touches it only when they change.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE SHA OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT SHA)
  set(SHA "unknown")
endif()
set(TEXT "#define WHENCE_VERSION \"${VERSION}\"\n#define WHENCE_GIT_SHA \"${SHA}\"\n")
set(OLD "")
if(EXISTS ${TARGET})
  file(READ ${TARGET} OLD)
endif()
if(NOT OLD STREQUAL TEXT)
  file(WRITE ${TARGET} "${TEXT}")
endif()
