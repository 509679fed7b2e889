-- HAProxy asks Intermix before each request: `http-request lua.intermix-check`. An answer of 2xx lets the request pass,
-- a denial goes to the client as it is, and where there is no answer the request is refused with 503.

local node = os.getenv("INTERMIX_URL")
local timeout_ms = 2000

-- Headers that policy sets for the upstream.
local set = {}
for name in (os.getenv("INTERMIX_HEADERS") or ""):gmatch("%S+") do set[#set + 1] = name:lower() end

-- Of a connection or of a body, which the check does not have; and what only this proxy may say.
local own = {
  ["connection"] = true, ["keep-alive"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true,
  ["upgrade"] = true, ["content-length"] = true, ["expect"] = true, ["forwarded"] = true,
}

local function is_own(name)
  return own[name] or name:sub(1, 12) == "x-forwarded-" or name:sub(1, 11) == "x-original-"
end

-- HAProxy counts the values of a header from 0, and lists of an answer from 1.
local function list(values)
  local copied = {}
  for index = 0, #values do
    if values[index] ~= nil then copied[#copied + 1] = values[index] end
  end
  return copied
end

local function question(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not is_own(name) then headers[name] = list(values) end
  end
  headers["x-forwarded-method"] = { txn.sf:method() }
  headers["x-forwarded-uri"] = { txn.sf:pathq() }
  headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
  headers["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
  headers["x-forwarded-for"] = { txn.sf:src() }
  return { url = node .. "/v1/authz", headers = headers, timeout = timeout_ms }
end

-- What callers learn of quotas that a request was charged to: haproxy.cfg puts it on the response.
local function tell_limits(txn, answer)
  for _, name in ipairs({ "ratelimit", "ratelimit-policy" }) do
    local values = list(answer.headers[name] or {})
    if values[1] ~= nil then txn:set_var("txn.intermix." .. name:gsub("-", "_"), table.concat(values, ", ")) end
  end
end

-- Takes the client's own away, also where the answer has none, and what policy removes.
local function set_headers(txn, answer)
  for _, names in ipairs(list(answer.headers["x-envoy-auth-headers-to-remove"] or {})) do
    for name in names:gmatch("[^%s,]+") do txn.http:req_del_header(name) end
  end
  -- Further proxies would drop what a client calls a header of the connection, also where policy has set it.
  local connection = table.concat(list(txn.http:req_get_headers()["connection"] or {}), ","):lower()
  for _, name in ipairs(set) do
    if connection:find(name, 1, true) then txn.http:req_del_header("connection") end
    txn.http:req_del_header(name)
    for _, value in ipairs(list(answer.headers[name] or {})) do txn.http:req_add_header(name, value) end
  end
end

local function check(txn)
  local answer = core.httpclient():get(question(txn))
  local status = answer and answer.status or 0
  if status >= 200 and status < 300 then
    tell_limits(txn, answer)
    return set_headers(txn, answer)
  end
  if status < 300 or status >= 500 then
    txn:done(txn:reply({ status = 503, headers = { ["content-type"] = { "text/plain" } }, body = "no answer from policy\n" }))
    return
  end
  local headers = {}
  for name, values in pairs(answer.headers) do
    if not is_own(name) then headers[name] = list(values) end
  end
  txn:done(txn:reply({ status = status, headers = headers, body = answer.body }))
end

core.register_action("intermix-check", { "http-req" }, check, 0)
