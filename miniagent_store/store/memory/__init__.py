"""Memories: texts that are found by meaning and by words, apart from any conversation.

A scope is a record of kind "memory". Each memory is two values of its state, which a commit sets, replaces
or deletes together: the text with all about it, and its vector. The log "changes" names what each commit
changed, so that an index anywhere is brought up to date by what is new; the state is the truth.
"""
