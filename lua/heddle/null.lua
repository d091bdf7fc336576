--- `orm.null`: the light userdata that says NULL where an absent field cannot, the same as `cjson.null`
--- and `ngx.null`.
return require("heddle.core").null
