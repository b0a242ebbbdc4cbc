-- wrk's side of benchmarks/serve.py: unique posts, and the latency of each answer by its status.
--
-- Arguments: a file of JSON strings, one text a line; what stands before and after an id and a
-- text in a request; the key; requests a second to send whether answered or not (0: as answered);
-- how many threads there are.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment;
int clock_gettime(int clock, moment *now);
]]
local MONOTONIC = 1
local spot = ffi.new("moment")

local function now()
    ffi.C.clock_gettime(MONOTONIC, spot)
    return tonumber(spot.seconds) + tonumber(spot.nanoseconds) / 1e9
end

local threads = {}

function setup(thread)
    thread:set("number", #threads)
    threads[#threads + 1] = thread
end

local texts, sent, place, due = {}, {}, 0, 0
local head, middle, tail, pause
seconds, statuses, finished, exhausted = {}, {}, 0, 0

function init(arguments)
    local rate, count
    head, middle, tail = arguments[2], arguments[3], arguments[4]
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["Authorization"] = "Bearer " .. arguments[5]
    rate = tonumber(arguments[6])
    -- A thread begins before the next one is made, so that it cannot count them.
    count = tonumber(arguments[7])
    local line_number = 0
    for line in io.lines(arguments[1]) do
        if line_number % count == number then
            texts[#texts + 1] = line
        end
        line_number = line_number + 1
    end
    if rate > 0 then
        pause, due = count / rate, now()
        -- Milliseconds until the next request of this thread is due.
        function delay()
            due = due + pause
            return math.max(0, math.floor((due - now()) * 1000))
        end
    end
end

function request()
    place = place + 1
    if place > #texts then
        exhausted = exhausted + 1
    end
    local id = number .. "-" .. place
    sent[id] = now()
    local text = texts[(place - 1) % #texts + 1]
    return wrk.format(nil, nil, nil, head .. id .. middle .. text .. tail)
end

function response(status, headers, body)
    statuses[status] = (statuses[status] or 0) + 1
    local id = status == 200 and body:match('"id":%s*"(%d+%-%d+)"')
    if id then
        seconds[#seconds + 1] = now() - sent[id]
        sent[id] = nil
    end
end

function done(summary)
    local parts = {}
    for _, thread in ipairs(threads) do
        for status, times in pairs(thread:get("statuses")) do
            parts[#parts + 1] = string.format('["status", %d, %d]', status, times)
        end
        for _, taken in pairs(thread:get("seconds")) do
            parts[#parts + 1] = string.format('["seconds", %.6f]', taken)
        end
        parts[#parts + 1] = string.format('["repeated", %d]', thread:get("exhausted"))
    end
    local errors = summary.errors
    local lost = errors.connect + errors.read + errors.write + errors.timeout
    parts[#parts + 1] = string.format('["lost", %d]', lost)
    parts[#parts + 1] = string.format('["duration", %.6f]', summary.duration / 1e6)
    print("RESULT [" .. table.concat(parts, ",") .. "]")
end
