# Remakes golden.csv with R's survival package:
#   python tests/golden/datasets.py data && Rscript tests/golden/golden.R data > tests/golden/golden.csv
suppressMessages(library(survival))
folder <- commandArgs(trailingOnly = TRUE)[1]
data <- function(name) read.csv(file.path(folder, paste0(name, ".csv")))
cat("test,dataset,quantity,group,at,value\n")
say <- function(test, set, quantity, group, at, value)
  cat(sprintf("%s,%s,%s,%s,%s,%.15g\n", test, set, quantity, group, at, as.numeric(value)), sep = "")

# Kaplan-Meier, log-log interval, with and without late entry
curve <- function(set, formula, months) {
  fit <- survfit(formula, data = data(set), conf.type = "log-log")
  rows <- summary(fit, times = months, extend = TRUE)
  group <- if (is.null(rows$strata)) rep("all", length(rows$time)) else sub("^.*=", "", as.character(rows$strata))
  say("km", set, "survival", group, rows$time, rows$surv)
  say("km", set, "low", group, rows$time, rows$lower)
  say("km", set, "high", group, rows$time, rows$upper)
  say("km", set, "se", group, rows$time, rows$std.err)
  say("km", set, "at_risk", group, rows$time, rows$n.risk)
  middle <- quantile(fit, probs = 0.5)
  names <- if (is.null(fit$strata)) "all" else sub("^.*=", "", names(fit$strata))
  for (part in c("quantile", "lower", "upper"))
    say("km", set, paste0("median_", part), names, "", as.vector(middle[[part]]))
}
curve("rossi", Surv(week, arrest) ~ fin, c(12, 26, 52))
curve("lung", Surv(time, status) ~ sex, c(90, 180, 365, 720))
curve("waltons", Surv(T, E) ~ group, c(20, 40, 60))
curve("macs_lefttrunc", Surv(W, T, D) ~ 1, c(2, 4, 6, 8))
curve("heart_lefttrunc", Surv(start, stop, event) ~ transplant, c(30, 90, 365))

# log-rank, plain and within strata
test <- function(set, label, formula, frame = data(set)) {
  fit <- survdiff(formula, data = frame)
  df <- (if (is.matrix(fit$obs)) nrow(fit$obs) else length(fit$n)) - 1
  say("logrank", set, "chi2", label, "", fit$chisq)
  say("logrank", set, "p", label, "", pchisq(fit$chisq, df, lower.tail = FALSE))
}
test("rossi", "fin", Surv(week, arrest) ~ fin)
test("rossi", "fin|race", Surv(week, arrest) ~ fin + strata(race))
test("rossi", "fin|race+mar", Surv(week, arrest) ~ fin + strata(race, mar))
test("lung", "sex", Surv(time, status) ~ sex)
lung <- data("lung")
test("lung", "sex|ph_ecog", Surv(time, status) ~ sex + strata(ph_ecog), lung[!is.na(lung$ph_ecog), ])
test("lung", "sex|inst", Surv(time, status) ~ sex + strata(inst), lung[!is.na(lung$inst), ])
test("waltons", "group", Surv(T, E) ~ group)
test("gbsg2", "tgrade", Surv(time, cens) ~ tgrade)
test("gbsg2", "horTh", Surv(time, cens) ~ horTh)
test("gbsg2", "horTh|tgrade", Surv(time, cens) ~ horTh + strata(tgrade))
# with late entry, two groups: the score test of a Cox model is the log-rank test when no two ends are tied
macs <- data("macs_lefttrunc"); macs$T <- macs$T + seq_len(nrow(macs)) * 1e-4; macs$odd <- seq_len(nrow(macs)) %% 2
say("logrank", "macs_lefttrunc", "chi2", "odd", "", coxph(Surv(W, T, D) ~ odd, macs)$score)

# restricted mean
means <- function(set, formula, horizon) {
  rows <- summary(survfit(formula, data = data(set)), rmean = horizon)$table
  group <- sub("^.*=", "", rownames(rows))
  say("rmst", set, "mean", group, horizon, rows[, grep("rmean", colnames(rows))[1]])
  say("rmst", set, "se", group, horizon, rows[, grep("se\\(", colnames(rows))])
}
means("rossi", Surv(week, arrest) ~ fin, 52)
means("lung", Surv(time, status) ~ sex, 365)
means("waltons", Surv(T, E) ~ group, 50)
means("gbsg2", Surv(time, cens) ~ horTh, 1825)
# with late entry: Greenwood's variance of the area, from the pieces of the curve
late <- survfit(Surv(W, T, D) ~ 1, data("macs_lefttrunc")); keep <- late$time < 8
step <- late$surv[keep]; n <- late$n.risk[keep]; d <- late$n.event[keep]
area <- c(1, step) * diff(c(0, late$time[keep], 8)); after <- rev(cumsum(rev(area)))[-1]
say("rmst", "macs_lefttrunc", "mean", "all", 8, sum(area))
say("rmst", "macs_lefttrunc", "se", "all", 8, sqrt(sum(ifelse(n > d, after^2 * d / (n * (n - d)), 0))))

# competing ends
incidence <- function(set, fit, months) {
  rows <- summary(fit, times = months, extend = TRUE)
  for (kind in 1:2) {
    say("cif", set, "share", kind, months, rows$pstate[, kind + 1])
    say("cif", set, "se", kind, months, rows$std.err[, kind + 1])
    say("cif", set, "low", kind, months, rows$lower[, kind + 1])
    say("cif", set, "high", kind, months, rows$upper[, kind + 1])
  }
}
ends <- function(kind) factor(kind, 0:2)
bmt <- data("bmt"); mgus <- data("mgus2_cr"); late <- data("mgus2_lt")
incidence("bmt", survfit(Surv(ftime, ends(status)) ~ 1, bmt, conf.type = "log-log"), c(6, 12, 24, 48))
incidence("mgus2_cr", survfit(Surv(etime, ends(ev)) ~ 1, mgus, conf.type = "log-log"), c(60, 120, 240))
incidence("mgus2_lt", survfit(Surv(entry, etime, ends(ev)) ~ 1, late, id = id, conf.type = "log-log"), c(60, 120, 240))

# rates and shares
rate <- poisson.test(c(24, 12), c(300, 310))
for (part in c("ratio", "low", "high", "p"))
  say("rate_ratio", "24/300 vs 12/310", part, "", "",
      switch(part, ratio = rate$estimate, low = rate$conf.int[1], high = rate$conf.int[2], p = rate$p.value))
share <- prop.test(9, 80, correct = FALSE)$conf.int
say("wilson", "9/80", "low", "", "", share[1]); say("wilson", "9/80", "high", "", "", share[2])

# hazard of a row a month: complementary log-log, a rate for each month; clustered by client (months of four weeks)
monthly <- function(set, frame, months) {
  long <- survSplit(Surv(time, arrest) ~ ., frame, cut = seq_len(months - 1), episode = "k")
  long <- long[long$k %in% long$k[long$arrest == 1], ]  # where nobody left, the rate has no finite optimum
  fit <- glm(arrest ~ factor(k) + fin + age + prio, binomial("cloglog"), long, epsilon = 1e-15, maxit = 200)
  bent <- rowsum(residuals(fit, "working") * weights(fit, "working") * model.matrix(fit), long$group)
  robust <- vcov(fit) %*% crossprod(bent) %*% vcov(fit)
  for (name in c("fin", "age", "prio")) {
    say("cloglog", set, "coef", name, "", coef(fit)[name])
    say("cloglog", set, "se", name, "", sqrt(vcov(fit)[name, name]))
    say("cloglog", set, "clustered", name, "", sqrt(robust[name, name]))
  }
  say("cloglog", set, "log_likelihood", "", "", as.numeric(logLik(fit)))
}
rossi <- data("rossi")
kept <- rossi[, c("arrest", "fin", "age", "prio")]
kept$group <- rossi$age %/% 3
monthly("rossi weeks", cbind(kept, time = rossi$week), 52)
monthly("rossi months", cbind(kept, time = ceiling(rossi$week / 4)), 13)

# Cox regression on months with ties (Breslow), clustered: the other robust standard error there is, for comparison
few <- data.frame(kept, month = ceiling(rossi$week / 4))
fit <- coxph(Surv(month, arrest) ~ fin + age + prio, few, ties = "breslow", cluster = group,
             control = coxph.control(eps = 1e-14, toler.chol = 1e-16, iter.max = 100))
for (name in names(coef(fit))) {
  say("cox", "rossi months", "coef", name, "", coef(fit)[name])
  say("cox", "rossi months", "clustered", name, "", sqrt(vcov(fit)[name, name]))
}

# two correlations with one outcome: Steiger's z, Zou's interval, from their papers
steiger <- function(a, b, ab, n) {
  mean <- (a + b) / 2
  psi <- ab * (1 - 2 * mean^2) - mean^2 * (1 - 2 * mean^2 - ab^2) / 2
  (atanh(a) - atanh(b)) * sqrt(n - 3) / sqrt(2 - 2 * psi / (1 - mean^2)^2)
}
zou <- function(a, b, ab, n) {
  limits <- function(r) tanh(atanh(r) + c(-1, 1) * qnorm(0.975) / sqrt(n - 3))
  l <- limits(a); m <- limits(b)
  c <- ((ab - a * b / 2) * (1 - a^2 - b^2 - ab^2) + ab^3) / ((1 - a^2) * (1 - b^2))
  c(a - b - sqrt((a - l[1])^2 + (m[2] - b)^2 - 2 * c * (a - l[1]) * (m[2] - b)),
    a - b + sqrt((l[2] - a)^2 + (b - m[1])^2 - 2 * c * (l[2] - a) * (b - m[1])))
}
for (case in list(c(-.42, -.25, .35, 120), c(.396, .179, .088, 66))) {
  set <- paste(case, collapse = " ")
  z <- do.call(zou, as.list(case))
  say("correlations", set, "steiger", "", "", do.call(steiger, as.list(case)))
  say("correlations", set, "low", "", "", z[1]); say("correlations", set, "high", "", "", z[2])
}

# ends over those expected: exact limits
for (case in list(c(60, 39.9), c(10, 20.5), c(0, 6.2))) {
  limits <- poisson.test(case[1], case[2])$conf.int
  set <- paste(case, collapse = "/")
  say("funnel", set, "low", "", "", limits[1]); say("funnel", set, "high", "", "", limits[2])
}
