# Prints the numbers of test_metaanalysis.py with R's metafor (3.8 here); the data come with it:
#   Rscript tests/golden/metafor.R
suppressMessages(library(metafor))
show <- function(name, fit, transf) {
  mean <- predict(fit, transf = transf)
  spread <- confint(fit)$random
  cat(sprintf("%s estimate %.4f se %.4f tau2 %.4f I2 %.2f Q %.4f\n", name, fit$beta, fit$se, fit$tau2, fit$I2, fit$QE))
  cat(sprintf("  mean %.4f [%.4f, %.4f], tau2 [%.4f, %.4f]\n", mean$pred, mean$ci.lb, mean$ci.ub, spread[1, 2], spread[1, 3]))
}
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
show("bcg", rma(yi, vi, data = bcg), exp)
show("bcg knha", rma(yi, vi, data = bcg, test = "knha"), exp)
cohen <- escalc(measure = "ZCOR", ri = ri, ni = ni, data = dat.cohen1981)
show("cohen1981", rma(yi, vi, data = cohen), transf.ztor)
