#!lua flags=no-writes
-- Which commands the user may run on which keys and channels; nothing is run.
--
-- ARGV   1 in msgpack: {commands = {{name, arguments…}, …}, samples = {key, …}, channels = {channel, …}}; in
--          the arguments '\0k' stands for a key, '\0c' for a channel
-- reply  for each command a text of 1 (may) and 0 (may not): one for each key or channel, one if it takes none

local asked = cmsgpack.unpack(ARGV[1])

local function with(command, mark, place)
  local words = {}
  for at, word in ipairs(command) do
    if word == mark then words[at] = place else words[at] = word end
  end
  return redis.acl_check_cmd(unpack(words)) and '1' or '0'
end

local function places_of(command)
  for _, word in ipairs(command) do
    if word == '\0k' then return word, asked.samples end
    if word == '\0c' then return word, asked.channels end
  end
  return '', {''}
end

local replies = {}
for at, command in ipairs(asked.commands) do
  local mark, places = places_of(command)
  local answers = {}
  for number, place in ipairs(places) do answers[number] = with(command, mark, place) end
  replies[at] = table.concat(answers)
end
return replies
